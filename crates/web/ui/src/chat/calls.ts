// Calls that are on and concern this user, and those that ended while this page was open, as the server tells of them.

import { CallOutcome, type CallPerson, CallStanding, type CallState } from '../wire/im.gen';

/** Calls whose end is remembered: one is asked about, and it is a recent one. */
const MAX_ENDED = 8;

export class Calls {
  private on = new Map<string, CallState>();
  /** The latest last. */
  private over = new Map<string, CallState>();
  /** How far the server's clock is ahead of this device's. */
  private aheadMs = 0;

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

  /** One that this user's devices ring for, but for one that they are in. */
  ringing(me: number, ongoing?: string): CallState | undefined {
    const rings = ({ user, standing }: CallPerson) => user === me && standing === CallStanding.RINGING;
    return this.all().find((call) => call.callId !== ongoing && call.people.some(rings) && this.ringsForMs(call) > 0);
  }

  /** How long devices ring for it yet, whether or not the server can be heard. */
  ringsForMs({ ringsUntilMs }: CallState): number {
    return Math.max(0, ringsUntilMs - this.aheadMs - Date.now());
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

  /** A new session: those that are on are told anew. `serverMs`: what the server's clock says. */
  begin(serverMs: number) {
    this.on.clear();
    this.aheadMs = serverMs - Date.now();
  }
}
