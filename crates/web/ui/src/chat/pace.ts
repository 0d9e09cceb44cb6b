// How much of a file is under way at a time. More than the path takes at once waits in its queue, and with it every call and
// message of the same home: the queue of a slow path holds a second and more. The rule is the server's own for downloads
// (crates/flow/src/window.rs says why): the window that would make the round trip what it should be, and half of the way
// towards it.

/** Longest queue of our making. */
const QUEUE_MS = 100;
/** A queue that short may be chance: the window doubles. */
const SHORT_MS = 40;
const MIN_BYTES = 8 * 1024;
const FIRST_BYTES = 16 * 1024;
/** Two pieces as large as the server takes; at 100 ms round trip they allow 30 Mbit/s. */
const MAX_BYTES = 2 * 192 * 1024;
/** As many round trips stay long before others are to blame, */
const PATIENCE = 12;
/** and how long they are then not given way to. */
const TRUCE_MS = 30_000;

export class Pace {
  private bytes = FIRST_BYTES;
  /** Pieces from before the last step say nothing of it. */
  private stepped = -Infinity;
  private long = 0;
  private truceEnd = -Infinity;

  /** `base`: the shortest round trip so far, in ms. */
  constructor(private base: number) {}

  /** Bytes under way. */
  get window(): number {
    return this.bytes;
  }

  /** A piece went at `begun` and its answer came at `now`, in ms. */
  took(begun: number, now: number) {
    if (begun < this.stepped) return;
    this.stepped = now;
    if (now < this.truceEnd) {
      this.bytes = MAX_BYTES;
      return;
    }
    const took = now - begun;
    this.base = Math.min(this.base, took);
    const wanted = this.base + QUEUE_MS;
    this.long = took > wanted + QUEUE_MS / 2 ? this.long + 1 : 0;
    if (this.long > PATIENCE) {
      this.long = 0;
      this.truceEnd = now + TRUCE_MS;
    }
    const next = took < this.base + SHORT_MS ? this.bytes * 2 : this.bytes * (0.5 + (0.5 * wanted) / took);
    this.bytes = Math.round(Math.min(Math.max(next, MIN_BYTES), MAX_BYTES));
  }
}
