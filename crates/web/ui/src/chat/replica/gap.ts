// A hole at the newest end of a log: what came behind it waits here, and a clock says when to ask for the rest.

/** Feeds are separate streams, so neighbours may overtake each other: a hole may fill by itself for so long. */
export const GAP_WAIT_MS = 500;
/** How long a page that was asked for may take; then it is asked for again. */
const PAGE_WAIT_MS = 10_000;

interface Part<T> {
  to: number;
  events: T[];
}

/** What came too soon, by its `from`. */
export class Waiting<T> {
  private parts = new Map<number, Part<T>>();

  constructor(private readonly maxEvents: number) {}

  /** `false`: too much, so all of it is dropped. It comes again with the page that is asked for anyway. */
  push(from: number, to: number, events: T[]): boolean {
    this.parts.set(from, { to, events });
    let size = 0;
    for (const part of this.parts.values()) size += Math.max(1, part.events.length);
    if (size <= this.maxEvents) return true;
    this.clear();
    return false;
  }

  /** The next part that a log which ends at `cursor` can take. Those that it has are dropped. */
  pop(cursor: number): { from: number; to: number; events: T[] } | undefined {
    for (;;) {
      const from = this.first();
      const part = from !== undefined && from <= cursor ? this.parts.get(from) : undefined;
      if (from === undefined || !part) return undefined;
      this.parts.delete(from);
      if (part.to > cursor) return { from, ...part };
    }
  }

  /** Where the hole ends, as far as is known. */
  first(): number | undefined {
    return this.parts.size ? Math.min(...this.parts.keys()) : undefined;
  }

  clear() {
    this.parts.clear();
  }
}

/** Whether something is missing, and since when. */
export class Gap {
  private state: 'none' | 'until' | 'asked' = 'none';
  private at = 0;

  /** A hole was seen, or is still there. */
  seen(now: number) {
    if (this.state === 'none') this.until(now + GAP_WAIT_MS);
  }

  until(at: number) {
    this.state = 'until';
    this.at = at;
  }

  close() {
    this.state = 'none';
  }

  get isAsked(): boolean {
    return this.state === 'asked';
  }

  get deadline(): number | undefined {
    return this.state === 'none' ? undefined : this.at;
  }

  /** Whether to ask at this time; then it counts as asked. */
  isDue(now: number): boolean {
    if (this.state === 'none' || this.at > now) return false;
    this.state = 'asked';
    this.at = now + PAGE_WAIT_MS;
    return true;
  }
}
