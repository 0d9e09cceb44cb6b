// Which parts (from, to] of a log are known: ascending, apart from each other.

export type Span = [from: number, to: number];

export class Spans {
  private spans: Span[] = [];

  constructor(rows: readonly Span[] = []) {
    for (const [from, to] of rows) this.insert(from, to);
  }

  /** Joins (from, to] with what it touches. An empty one says: known from here on. */
  insert(from: number, to: number) {
    if (from > to) return;
    const touched = this.spans.filter(([start, end]) => start <= to && end >= from);
    const start = Math.min(from, ...touched.map((span) => span[0]));
    const end = Math.max(to, ...touched.map((span) => span[1]));
    const apart = this.spans.filter((span) => !touched.includes(span));
    this.spans = [...apart, [start, end] as Span].sort((a, b) => a[0] - b[0]);
  }

  /** Takes away everything up to `floor`. */
  trim(floor: number) {
    const left = this.spans.filter(([, end]) => end >= floor);
    this.spans = left.map(([start, end]) => [Math.max(start, floor), end]);
  }

  /** Where the newest one ends. */
  end(): number | undefined {
    return this.spans.at(-1)?.[1];
  }

  /** The one that holds the event at `seq`, or begins right behind it. */
  around(seq: number): Span | undefined {
    return this.spans.find(([from, to]) => from <= seq && seq <= to);
  }

  /** Where the last one that ends below `seq` ends. */
  endBelow(seq: number): number | undefined {
    return this.spans.findLast(([, to]) => to < seq)?.[1];
  }

  contains(seq: number): boolean {
    return this.spans.some(([from, to]) => from < seq && seq <= to);
  }

  rows(): Span[] {
    return this.spans.map(([from, to]) => [from, to]);
  }
}
