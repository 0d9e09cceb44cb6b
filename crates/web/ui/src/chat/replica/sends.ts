// What the user sent and the server has not confirmed: kept over cuts and reloads under one client id each, so that a retry
// is no second message, and sent one at a time a conversation, so that a refusal cannot turn the order around.

import { type Body, Code } from '../../wire/im.gen';

/** Most things that wait to be sent. */
export const MAX_UNSENT = 1000;
/** The least to wait after a refusal that says no time. */
const MIN_PAUSE_MS = 100;
/** Refusals after which the same is worth another try. */
export const AGAIN: readonly Code[] = [Code.FLOOD, Code.UNAVAILABLE, Code.TOO_EARLY, Code.INTERNAL];

export type Progress =
  | { step: 'queued' }
  | { step: 'flying' }
  /** Durable, as this event. It leaves the list when the event itself is there. */
  | { step: 'acked'; seq: number }
  /** It will not be sent. It stays until it is discarded or tried again. */
  | { step: 'refused'; code: Code };

export interface Outgoing {
  /** Hexadecimal; the same on every retry. */
  clientId: string;
  conv: number;
  body: Body;
  /** When it was written, by the clock of this device. */
  atMs: number;
  /** The order in which things were written. */
  order: number;
  progress: Progress;
}

export class Sends {
  private all: Outgoing[];
  private pausedUntil?: number;

  constructor(saved: Outgoing[] = []) {
    this.all = [...saved].sort((a, b) => a.order - b.order);
    this.cut();
  }

  list(): readonly Outgoing[] {
    return this.all;
  }

  /** No answer will come: what was flying goes out again. */
  cut() {
    this.pausedUntil = undefined;
    this.all = this.all.map((one) => (one.progress.step === 'flying' ? { ...one, progress: { step: 'queued' } } : one));
  }

  add(clientId: string, conv: number, body: Body, atMs: number): Outgoing | undefined {
    if (this.all.length >= MAX_UNSENT || this.find(clientId)) return undefined;
    const order = (this.all.at(-1)?.order ?? 0) + 1;
    const added: Outgoing = { clientId, conv, body, atMs, order, progress: { step: 'queued' } };
    this.all = [...this.all, added];
    return added;
  }

  /** The next one to send; from here on it counts as sent. */
  next(): Outgoing | undefined {
    if (this.pausedUntil !== undefined) return undefined;
    const busy = new Set<number>();
    for (const one of this.all) {
      if (one.progress.step === 'queued' && !busy.has(one.conv)) return this.progress(one.clientId, { step: 'flying' });
      if (one.progress.step === 'queued' || one.progress.step === 'flying') busy.add(one.conv);
    }
    return undefined;
  }

  progress(clientId: string, progress: Progress): Outgoing | undefined {
    const changed = this.find(clientId);
    if (!changed) return undefined;
    this.all = this.all.map((one) => (one === changed ? { ...one, progress } : one));
    return this.find(clientId);
  }

  refused(clientId: string, code: Code, retryAfterMs: number, now: number) {
    const again = AGAIN.includes(code);
    if (again && this.find(clientId)) this.pausedUntil = now + Math.max(retryAfterMs, MIN_PAUSE_MS);
    this.progress(clientId, again ? { step: 'queued' } : { step: 'refused', code });
  }

  /** Sends something again that was refused, behind all that waits. */
  retry(clientId: string): Outgoing | undefined {
    const one = this.find(clientId);
    if (one?.progress.step !== 'refused') return undefined;
    const order = (this.all.at(-1)?.order ?? 0) + 1;
    this.all = [...this.all.filter((other) => other !== one), { ...one, order, progress: { step: 'queued' } }];
    return this.find(clientId);
  }

  /** `false`: it is not there, or may be in the log already. */
  discard(clientId: string): boolean {
    const step = this.find(clientId)?.progress.step;
    if (step !== 'queued' && step !== 'refused') return false;
    this.all = this.all.filter((one) => one.clientId !== clientId);
    return true;
  }

  /** Takes out what is in the log as the conversation has it. */
  arrived(conv: number, cursor: number): string[] {
    const there = (one: Outgoing) => one.conv === conv && one.progress.step === 'acked' && one.progress.seq <= cursor;
    const gone = this.all.filter(there).map((one) => one.clientId);
    if (gone.length) this.all = this.all.filter((one) => !there(one));
    return gone;
  }

  get deadline(): number | undefined {
    return this.pausedUntil;
  }

  wake(now: number) {
    if (this.pausedUntil !== undefined && this.pausedUntil <= now) this.pausedUntil = undefined;
  }

  find(clientId: string): Outgoing | undefined {
    return this.all.find((one) => one.clientId === clientId);
  }
}
