// Read cursors on their way to the server: each is told until it is confirmed, by this session or a later one. Whether one rises
// is the replica's to say.

import type { Error as Refusal } from '../wire/im.gen';

import { AGAIN } from './replica/sends';

/** How long they rest at least when the server refused one for the time being. */
const PAUSE_MS = 1_000;

export type Read = [conv: number, seq: number];

export class Reads {
  /** The highest of each conversation that is not confirmed. */
  private all: Map<number, number>;
  /** Conversations whose cursor this session has not been told. */
  private waiting = new Set<number>();
  private restUntil?: number;
  private changed = false;

  /** As the database has them. */
  constructor(saved: readonly Read[] = []) {
    this.all = new Map(saved);
  }

  /** A session is open: everything that is not confirmed is to be told. */
  begin() {
    this.waiting = new Set(this.all.keys());
    this.restUntil = undefined;
  }

  /** The session is gone, and with it every answer that has not come. */
  cut() {
    this.waiting.clear();
    this.restUntil = undefined;
  }

  push(conv: number, seq: number) {
    this.all.set(conv, seq);
    this.waiting.add(conv);
    this.changed = true;
  }

  /** The next one to tell, unless they rest. */
  next(now: number): Read | undefined {
    if (this.restUntil !== undefined && this.restUntil > now) return undefined;
    this.restUntil = undefined;
    const [conv] = this.waiting;
    const seq = conv === undefined ? undefined : this.all.get(conv);
    if (conv === undefined || seq === undefined) return undefined;
    this.waiting.delete(conv);
    return [conv, seq];
  }

  /** Answered. One that the server does not take is not offered again; one that it may take later is. */
  answered([conv, seq]: Read, refusal: Refusal | undefined, now: number) {
    if (refusal && AGAIN.includes(refusal.code)) {
      this.waiting.add(conv);
      this.restUntil = now + Math.max(refusal.retryAfterMs, PAUSE_MS);
    } else if (this.all.get(conv) === seq) {
      this.all.delete(conv);
      this.changed = true;
    }
  }

  /** When they have rested. */
  get deadline(): number | undefined {
    return this.restUntil;
  }

  /** What the database is to hold, if that is something else than before. */
  takeChanged(): Read[] | undefined {
    const changed = this.changed ? [...this.all] : undefined;
    this.changed = false;
    return changed;
  }
}
