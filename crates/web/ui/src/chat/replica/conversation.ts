// One conversation as far as it is known: what arrives continues its newest window or waits, the registers follow, and what
// is missing is asked for in time. The rules are those of im.proto's ORDER. What becomes of the events is the log's (`log`).

import { make } from '../../wire/codec';
import type { ConversationDelta, Event, Fetch, FetchReply, Head, Settings } from '../../wire/im.gen';

import type { Folded } from './fold';
import { Gap, Waiting } from './gap';
import { Log } from './log';
import type { Span } from './spans';
import { State } from './state';

/** Events that wait behind a hole. More of them are dropped and fetched; fewer cost pages. */
const MAX_WAITING = 1000;
/** Events of one page, as the server allows. */
const MAX_PAGE = 500;
/** Syncs that may be silent about a conversation of which events came: they may have been under way already. */
const MAX_UNTOLD = 2;

/** What the database holds of a conversation, without its events. */
export interface Row {
  conv: number;
  delta: ConversationDelta;
  spans: Span[];
  stateAt: number;
}

/** What a part of a log without a hole covers. */
export interface Bounds {
  /** It covers (from, to]. */
  from: number;
  to: number;
  /** Nothing older is there for this user. */
  atStart: boolean;
}

/** A part of a log without a hole. */
export interface Window extends Bounds {
  events: Event[];
}

export class Conversation {
  /** A sync has told of it; before, nothing of it is shown. */
  known = false;
  /** Another one after each change: of its log, its registers or its settings. */
  version = 0;
  readonly state = new State();
  private log = new Log();
  private stateAt = 0;
  private waiting = new Waiting<Event>(MAX_WAITING);
  /** The newest event that was pushed, or acknowledged: it is to be there. */
  private expected = 0;
  /** Where an earlier stay of the user ended. */
  private ceiling = 0;
  private gap = new Gap();
  private settingsAt = 0;
  private untold = 0;

  constructor(
    private readonly me: number,
    readonly id: number,
  ) {}

  static restore(me: number, row: Row, events: Iterable<Event>): Conversation {
    const made = new Conversation(me, row.conv);
    made.known = true;
    made.state.restore(row.delta);
    made.stateAt = row.stateAt;
    made.log = new Log(row.spans, row.delta.swept ?? 0, events); // rows of an earlier release have no `swept`
    return made;
  }

  row(): Row {
    const delta = { ...this.state.toDelta(this.id), swept: this.log.swept };
    return { conv: this.id, delta, spans: this.log.spans.rows(), stateAt: this.stateAt };
  }

  /** Where the newest window ends. */
  get cursor(): number {
    return Math.max(this.log.spans.end() ?? 0, this.state.floor);
  }

  event(seq: number): Event | undefined {
    return this.log.get(seq);
  }

  /** What the newest events cover, as far back as they are known without a hole. */
  bounds(): Bounds {
    const { cursor } = this;
    const [from, to] = this.log.spans.around(cursor) ?? [cursor, cursor];
    return { from, to, atStart: from <= this.state.floor };
  }

  /** Those events. */
  newest(): Window {
    return { ...this.bounds(), events: [...this.backwards()].reverse() };
  }

  /** The same events, the last one first, one by one. */
  backwards(): Generator<Event> {
    const { from, to } = this.bounds();
    return this.log.backwards(from, to);
  }

  /** Lets go of all but the newest messages, if there are twice as many: who scrolls up to them asks for them again. */
  trim(kept: number): boolean {
    const { from, to } = this.bounds();
    const [oldest, newest] = [this.log.get(from + 1), this.log.get(to)];
    if (!oldest || !newest || newest.ord - oldest.ord < 2 * kept) return false;
    let up = to;
    for (const { seq, ord } of this.backwards()) {
      up = seq;
      if (newest.ord - ord >= kept) break;
    }
    this.log.forget(up);
    return true;
  }

  folded(seq: number): Folded {
    return this.log.folded(seq);
  }

  /** A push. */
  deliver(from: number, to: number, events: Event[], now: number) {
    if (isWhole(this.id, from, to, events)) {
      const last = events.at(-1);
      if (last) this.state.raiseHead(to, last.ord);
      this.arrive(from, to, events, now);
    }
    this.expect(to, now);
  }

  /** A page, asked for by whomever. */
  page(reply: FetchReply, now: number) {
    const before = this.cursor;
    if (!this.known || !isWhole(this.id, reply.from, reply.to, reply.events)) return;
    if (reply.floor > this.state.floor) this.raiseFloor(reply.floor, 0);
    this.state.raiseHead(reply.head, reply.headOrd);
    if (reply.from <= this.cursor) {
      this.cover(reply.from, reply.to, reply.events);
      this.drain();
    } else {
      this.arrive(reply.from, reply.to, reply.events, now);
    }
    const answers = this.gap.isAsked && (reply.from === before || this.state.floor > before);
    if (this.cursor >= this.expected) this.gap.close();
    else if (answers && this.cursor > before) this.gap.until(now);
    else if (answers) this.giveUp(); // There is no more for this user, whatever was pushed.
  }

  /** What a sync says of it that was made when the user log stood at `useq`. */
  delta(delta: ConversationDelta, useq: number, now: number) {
    if (!this.known) this.state.floor = delta.floor;
    this.known = true;
    this.log.sweep(delta.swept);
    if (delta.floor > this.state.floor) {
      this.raiseFloor(delta.floor, delta.floorOrd);
    } else if (delta.floor === this.state.floor) {
      this.state.floorOrd = Math.max(this.state.floorOrd, delta.floorOrd);
    } else if (delta.head >= this.stateAt) {
      [this.state.floor, this.state.floorOrd] = [delta.floor, delta.floorOrd];
    }
    if (delta.head >= this.stateAt || this.knowsAllSince(delta.head)) this.takeState(delta);
    this.state.raiseRead(delta.readSeq, delta.readOrd);
    if (useq >= this.settingsAt) this.state.settings = delta.settings ?? make('Settings');
    if (delta.events.length && isWhole(this.id, delta.from, delta.to, delta.events)) {
      this.cover(delta.from, delta.to, delta.events);
    }
    // A stub: the log goes on from the head, and what is below is fetched when it is shown.
    if (delta.head > this.cursor) this.log.spans.insert(delta.head, delta.head);
    this.drain();
    this.expect(this.expected, now);
  }

  /** There are events up to here, which nobody has to fetch yet. */
  head({ seq, ord, swept }: Head) {
    this.state.raiseHead(seq, ord);
    this.log.sweep(swept);
  }

  /** The user is in from here on, perhaps again. The cursor starts over with the stay. */
  joined(floor: number) {
    if (floor > this.state.floor) this.raiseFloor(floor, 0);
    else if (floor < this.state.floor) [this.state.floor, this.state.floorOrd] = [floor, 0]; // with history this time
    this.state.raiseHead(floor, 0);
    if (!this.state.role) this.state.role = 1;
    [this.state.read, this.state.readOrd] = [floor, this.state.floorOrd];
    const own = [...this.log.all()].filter((event) => event.sender === this.me && event.seq > Math.max(floor, this.ceiling));
    for (const event of own) this.state.raiseRead(event.seq, event.ord);
  }

  /** The user is out; the event at `seq` is the last one to see. */
  left(seq: number, now: number) {
    this.ceiling = Math.max(this.ceiling, seq);
    if (this.stateAt > seq) return; // Events above it tell of a later stay.
    this.state.role = 0;
    this.expect(seq, now);
  }

  set(settings: Settings, useq: number) {
    this.settingsAt = useq;
    this.state.set(settings);
  }

  /** Answers whether the cursor rose. */
  markRead(seq: number): boolean {
    const event = this.log.get(seq);
    if (!event || event.seq <= this.state.read) return false;
    this.state.raiseRead(event.seq, event.ord);
    return true;
  }

  /** Acknowledged: one's own event is in the log, and one has read up to it. */
  acked(seq: number, ord: number, now: number) {
    this.state.raiseHead(seq, ord);
    this.state.raiseRead(seq, ord);
    this.expect(seq, now);
  }

  get deadline(): number | undefined {
    return this.gap.deadline;
  }

  /** What to ask for, if a hole did not fill in time. */
  overdue(now: number): Fetch | undefined {
    if (!this.gap.isDue(now)) return undefined;
    const first = this.waiting.first();
    const before = first === undefined ? 0 : first + 1;
    return make('Fetch', { conv: this.id, after: this.cursor, before, limit: MAX_PAGE });
  }

  /** What is missing up to the head. The rest of it is asked for as the pages come. */
  fetchNewer(now: number): Fetch | undefined {
    if (this.state.head <= this.cursor || this.gap.isAsked) return undefined;
    this.expected = Math.max(this.expected, this.state.head);
    this.gap.until(now);
    return this.overdue(now);
  }

  /** The page below the newest window, if there is one. */
  fetchOlder(): Fetch | undefined {
    const { from, atStart } = this.bounds();
    if (atStart) return undefined;
    const after = Math.max(this.log.spans.endBelow(from) ?? 0, this.state.floor);
    return make('Fetch', { conv: this.id, after, before: from + 1, backward: true });
  }

  /** A page was refused: again after a while, if it is worth it. */
  refused(waitMs: number | undefined, now: number) {
    if (!this.gap.isAsked) return;
    if (waitMs === undefined) this.giveUp();
    else this.gap.until(now + waitMs);
  }

  /** The session is gone. The next sync tells what is missing. */
  cut() {
    this.giveUp();
  }

  /** A sync has not told of it, but the next one may: events came. */
  awaitsSync(): boolean {
    this.untold += 1;
    return this.waiting.first() !== undefined && this.untold <= MAX_UNTOLD;
  }

  /** Events that are to be written to the database. */
  takeChanged(): Event[] {
    return this.log.takeChanged();
  }

  /** Up to where the database forgets events as well: 0 for none. */
  takeForgotten(): number {
    return this.log.takeForgotten();
  }

  private giveUp() {
    this.expected = this.cursor;
    this.gap.close();
    this.waiting.clear();
  }

  private expect(seq: number, now: number) {
    this.expected = Math.max(this.expected, seq);
    if (this.cursor >= this.expected) this.gap.close();
    else if (this.known) this.gap.seen(now);
  }

  /** What may continue the newest window: now, or when the hole before it is filled. */
  private arrive(from: number, to: number, events: Event[], now: number) {
    if (to <= this.cursor) return;
    if (this.known && from <= this.cursor) this.cover(from, to, events);
    else if (!this.waiting.push(from, to, events)) this.gap.until(now);
    this.drain();
  }

  private drain() {
    if (!this.known) return;
    for (let part = this.waiting.pop(this.cursor); part; part = this.waiting.pop(this.cursor)) {
      this.cover(part.from, part.to, part.events);
    }
  }

  private cover(from: number, to: number, events: Event[]) {
    const { floor } = this.state;
    this.log.spans.insert(Math.max(from, floor), Math.max(to, floor));
    for (const event of events) if (event.seq > floor) this.takeIn(event);
  }

  private takeIn(event: Event) {
    const kept = this.log.put(event);
    if (!kept) return;
    this.state.noteFloor(kept);
    this.state.raiseHead(kept.seq, kept.ord);
    if (kept.sender === this.me) this.state.raiseRead(kept.seq, kept.ord);
    if (kept.seq > this.stateAt) {
      this.state.apply(this.me, kept);
      this.stateAt = kept.seq;
    }
  }

  private knowsAllSince(head: number): boolean {
    if (head <= this.state.floor) return false;
    for (let seq = head + 1; seq <= this.stateAt; seq += 1) if (!this.log.get(seq)) return false;
    return true;
  }

  /** How things stood at the head of the delta, and what has happened since. */
  private takeState(delta: ConversationDelta) {
    this.state.take(delta);
    for (let seq = delta.head + 1; seq <= this.stateAt; seq += 1) {
      const event = this.log.get(seq);
      if (event) this.state.apply(this.me, event);
    }
    this.stateAt = Math.max(this.stateAt, delta.head);
  }

  private raiseFloor(floor: number, ord: number) {
    this.state.floor = floor;
    this.state.floorOrd = Math.max(this.state.floorOrd, ord);
    this.log.hide(floor);
  }
}

/** Whether these are all events of (from, to]. */
function isWhole(conv: number, from: number, to: number, events: Event[]): boolean {
  if (to - from !== events.length) return false;
  return events.every((event, at) => event.conv === conv && event.seq === from + 1 + at);
}
