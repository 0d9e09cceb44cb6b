// The events of one conversation that are known: where they lie without a hole, which are erased, and what points at what.
// Whatever order its parts come in, the same events end up as the same log: those of the server, erased where it erased them.

import { make } from '../../wire/codec';
import { type Body, EraseReason, type Event } from '../../wire/im.gen';

import { fold, type Folded } from './fold';
import { EDIT, Erased, isErasable, isSwept, tombstone } from './rules';
import { type Span, Spans } from './spans';

/** The place of an erasure that is known without its event: whichever is found is earlier. */
const SOMEWHERE = Infinity;

export class Log {
  /** Retention has gone over the log up to here. */
  swept: number;
  readonly spans: Spans;
  private events = new Map<number, Event>();
  /** The event that made us erase it; none for a tombstone that came as one. */
  private erasedBy = new Map<number, number>();
  private pointing = new Map<number, number[]>();
  private erased = new Erased();
  /** Events to write to the database since the last `takeChanged`. */
  private changed = new Set<number>();
  /** Up to here events were forgotten since the last `takeForgotten`. */
  private forgotten = 0;

  /** As the database has it. */
  constructor(spans: readonly Span[] = [], swept = 0, events: Iterable<Event> = []) {
    this.spans = new Spans(covered(spans, events));
    this.swept = swept;
    for (const event of events) {
      if (!this.spans.contains(event.seq)) continue;
      this.index(event);
      this.events.set(event.seq, event);
      if (event.body) this.erased.learn(event.seq, event.body);
    }
  }

  get(seq: number): Event | undefined {
    return this.events.get(seq);
  }

  all(): Iterable<Event> {
    return this.events.values();
  }

  /** Those of (from, to], the last one first, one by one. */
  *backwards(from: number, to: number): Generator<Event> {
    for (let seq = to; seq > from; seq -= 1) {
      const event = this.events.get(seq);
      if (event) yield event;
    }
  }

  /** What later events make of one. */
  folded(seq: number): Folded {
    const later = (this.pointing.get(seq) ?? []).flatMap((by) => this.events.get(by) ?? []);
    return fold(this.events.get(seq), later);
  }

  /** Takes an event in. Answers it as it stands in the log, if it is new here. */
  put(event: Event): Event | undefined {
    const { seq } = event;
    const body = event.body ?? make('Body');
    const ours = this.events.get(seq);
    if (ours) {
      // The log does not change, but for erasure: a page read later knows more of it.
      const stands = !ours.body || isErasable(ours.body) || this.erasedBy.has(seq);
      if (stands && !isErasable(body)) this.replace(ours, body);
      return undefined;
    }
    this.index(event);
    const swept = this.isSwept(seq, body) ? { by: SOMEWHERE, reason: EraseReason.RETENTION } : undefined;
    const erasure = this.erased.of(seq, body) ?? swept;
    if (erasure) this.erasedBy.set(seq, erasure.by);
    const kept = { ...event, body: erasure ? tombstone(body, erasure.reason) : body };
    this.events.set(seq, kept);
    this.changed.add(seq);
    this.erase(seq, kept.body);
    return kept;
  }

  /** Retention has gone over the log up to `to`. The events that say so may be in a part that is not known here. */
  sweep(to: number) {
    if (to <= this.swept) return;
    this.swept = to;
    for (const event of [...this.events.values()]) {
      if (event.body && this.isSwept(event.seq, event.body)) this.eraseOne(event, SOMEWHERE, EraseReason.RETENTION);
    }
  }

  /** Nothing up to `floor` is for this user: neither events nor what they erased. */
  hide(floor: number) {
    this.erased.trim(floor);
    this.forget(floor);
  }

  /** Forgets all events up to this one. Which erasures are known stays known: a page may be under way that was read before one. */
  forget(upTo: number) {
    for (const seq of [...this.events.keys()]) {
      if (seq > upTo) continue;
      this.events.delete(seq);
      this.erasedBy.delete(seq);
    }
    for (const [target, by] of this.pointing) {
      const left = by.filter((seq) => seq > upTo);
      if (left.length) this.pointing.set(target, left);
      else this.pointing.delete(target);
    }
    this.spans.trim(upTo);
    this.forgotten = Math.max(this.forgotten, upTo);
  }

  /** Events that are to be written to the database. */
  takeChanged(): Event[] {
    const changed = [...this.changed].flatMap((seq) => this.events.get(seq) ?? []);
    this.changed.clear();
    return changed;
  }

  /** Up to where events were forgotten, which the database then does as well: 0 for none. */
  takeForgotten(): number {
    const { forgotten } = this;
    this.forgotten = 0;
    return forgotten;
  }

  private index({ seq, body }: Event) {
    if (!body?.target) return;
    const pointing = this.pointing.get(body.target) ?? [];
    if (!pointing.includes(seq)) this.pointing.set(body.target, [...pointing, seq].sort((a, b) => a - b));
  }

  private replace(event: Event, body: Body, by?: number) {
    this.events.set(event.seq, { ...event, body });
    if (by === undefined) this.erasedBy.delete(event.seq);
    else this.erasedBy.set(event.seq, by);
    this.changed.add(event.seq);
  }

  private isSwept(seq: number, body: Body): boolean {
    return isSwept(body) && (seq <= this.swept || (body.kind?.case === 'edit' && body.target <= this.swept));
  }

  /** Erases what the event at `by` says. */
  private erase(by: number, body: Body) {
    const erasure = this.erased.learn(by, body);
    if (!erasure) return;
    const within = (seq: number) => erasure.ranges.some(({ first, last }) => first <= seq && seq <= Math.min(last, by));
    const edits = new Set(erasure.editsOf ? (this.pointing.get(erasure.editsOf) ?? []) : []);
    for (const event of [...this.events.values()]) {
      if (within(event.seq) || (edits.has(event.seq) && isEdit(event.body))) this.eraseOne(event, by, erasure.reason);
    }
  }

  private eraseOne(event: Event, by: number, reason: EraseReason) {
    const { body } = event;
    if (!body) return;
    if (isErasable(body)) this.replace(event, tombstone(body, reason), by);
    // An earlier erasure, learned of later: the server's first reason is this one.
    else if (body.kind?.case === 'tombstone' && (this.erasedBy.get(event.seq) ?? 0) > by) {
      this.replace(event, make('Body', { kind: { case: 'tombstone', value: { ...body.kind.value, reason } } }), by);
    }
  }
}

/** Of spans what their events are there for, all of them: tabs of one browser write the same rows, and what one has let go of
 * another may still claim. Shown as if it were there, it would never be asked for. An empty span says: known from here on. */
function covered(spans: readonly Span[], events: Iterable<Event>): Span[] {
  const runs = new Spans();
  let run: Span | undefined;
  // The database gives them in order, thousands of them while the page starts: one look at each.
  for (const { seq } of events) {
    if (run && run[1] === seq - 1) {
      run[1] = seq;
      continue;
    }
    if (run) runs.insert(...run);
    run = [seq - 1, seq];
  }
  if (run) runs.insert(...run);
  return spans.flatMap(([from, to]) => {
    if (from === to) return [[from, to] as Span];
    const parts = runs.rows().map(([start, end]) => [Math.max(from, start), Math.min(to, end)] as Span);
    return parts.filter(([start, end]) => start < end);
  });
}

function isEdit(body: Body | undefined): boolean {
  return body?.kind?.case === 'edit' || (body?.kind?.case === 'tombstone' && body.kind.value.kind === EDIT);
}
