// How a conversation stands for the user: title, role, counts, cursors. Registers, set by a sync or by an event.

import { make } from '../../wire/codec';
import { type ConversationDelta, ConversationKind, type Event, type GroupChange, type MemberChange, Role, type Settings } from '../../wire/im.gen';

import { isCountable } from './rules';

export class State {
  kind = ConversationKind.UNSPECIFIED;
  title = '';
  announcement = '';
  /** Only admins may send messages. */
  muted = false;
  /** It can be read, not written. */
  dissolved = false;
  /** Unspecified: no member any more. */
  role = Role.UNSPECIFIED;
  memberCount = 0;
  /** Of a direct conversation: the other one. */
  peer = 0;
  /** Time of the newest event. */
  atMs = 0;
  head = 0;
  headOrd = 0;
  floor = 0;
  floorOrd = 0;
  read = 0;
  readOrd = 0;
  settings: Settings = make('Settings');

  /** Unread messages, exactly: no event has to be known for it. */
  get unread(): number {
    return Math.max(0, this.headOrd - Math.max(this.readOrd, this.floorOrd));
  }

  /** From what a sync says. Personal cursors merge, the rest is taken over. */
  take(delta: ConversationDelta) {
    const { kind, title, announcement, muted, dissolved, role, memberCount, peer, atMs } = delta;
    Object.assign(this, { kind, title, announcement, muted, dissolved, role, memberCount, peer, atMs });
    this.raiseHead(delta.head, delta.headOrd);
  }

  restore(row: ConversationDelta) {
    this.take(row);
    [this.floor, this.floorOrd, this.read, this.readOrd] = [row.floor, row.floorOrd, row.readSeq, row.readOrd];
    this.settings = row.settings ?? make('Settings');
  }

  toDelta(conv: number): ConversationDelta {
    const { kind, title, announcement, muted, dissolved, role, memberCount, peer, atMs, head, headOrd, floor, floorOrd } = this;
    const registers = { kind, title, announcement, muted, dissolved, role, memberCount, peer, atMs, head, headOrd, floor, floorOrd };
    return make('ConversationDelta', { conv, ...registers, readSeq: this.read, readOrd: this.readOrd, settings: this.settings });
  }

  /** The head only rises. */
  raiseHead(head: number, ord: number) {
    if (head <= this.head) return;
    this.head = head;
    this.headOrd = Math.max(this.headOrd, ord);
  }

  /** The read cursor only rises, and so merges by maximum. */
  raiseRead(read: number, ord: number) {
    if (read < this.read) return;
    this.read = read;
    this.readOrd = Math.max(this.readOrd, ord);
    // What was read is there, even if its push has not come.
    this.raiseHead(read, ord);
  }

  /** The event behind all those taken in so far. */
  apply(me: number, event: Event) {
    this.atMs = event.atMs;
    const kind = event.body?.kind;
    if (kind?.case === 'members') this.members(me, kind.value);
    else if (kind?.case === 'group') this.group(kind.value);
  }

  /** The event right above the floor tells the ordinal there. */
  noteFloor(event: Event) {
    if (this.floor === 0 || event.seq !== this.floor + 1) return;
    this.floorOrd = Math.max(this.floorOrd, event.ord - (isCountable(event.body) ? 1 : 0));
  }

  private members(me: number, change: MemberChange) {
    this.memberCount = Math.max(0, this.memberCount + change.add.length - change.remove.length);
    if (change.remove.includes(me)) this.role = Role.UNSPECIFIED;
    const own = [...change.add, ...change.role].find((member) => member.user === me);
    if (own) this.role = own.role;
  }

  private group({ title, announcement, muted, dissolved }: GroupChange) {
    this.title = title ?? this.title;
    this.announcement = announcement ?? this.announcement;
    this.muted = muted ?? this.muted;
    this.dissolved ||= dissolved ?? false;
  }

  /** Fields that are absent do not change. */
  set(change: Settings) {
    const present = Object.entries(change).filter(([, value]) => value !== undefined);
    this.settings = { ...this.settings, ...Object.fromEntries(present) };
  }
}
