// Calls that are on and concern this user, and those that ended while this page was open, as the server tells of them.

import { CallOutcome, type CallState } from '../wire/im.gen';

/** Calls whose end is remembered: one is asked about, and it is a recent one. */
const MAX_ENDED = 8;

export class Calls {
  private on = new Map<string, CallState>();
  /** The latest last. */
  private over = new Map<string, CallState>();

  /** One that is on. */
  get(id: string): CallState | undefined {
    return this.on.get(id);
  }

  /** All that are on. */
  all(): CallState[] {
    return [...this.on.values()];
  }

  /** How one ended. */
  ended(id: string): CallState | undefined {
    return this.over.get(id);
  }

  /** Of two states of a call the later one counts. */
  take(state: CallState) {
    if (this.over.has(state.callId) || (this.on.get(state.callId)?.version ?? 0) >= state.version) return;
    if (state.outcome === CallOutcome.RINGING) {
      this.on.set(state.callId, state);
      return;
    }
    this.on.delete(state.callId);
    this.over.set(state.callId, state);
    const [oldest] = this.over.keys();
    if (this.over.size > MAX_ENDED && oldest) this.over.delete(oldest);
  }

  /** A new session: those that are on are told anew. */
  begin() {
    this.on.clear();
  }
}
