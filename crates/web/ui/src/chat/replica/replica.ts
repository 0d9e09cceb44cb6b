// The client's side of chat: an exact copy of what its user may see, kept over pushes, pages, catch-ups and cuts. It is a
// state machine without I/O and without a clock: the shell hands in what the server sent, takes the requests that come out
// (`takeRequests`), and writes the rows that changed (`takeChanges`) in one transaction. Those rows bring it back.
//
// Nothing is shown past a hole, unread counts come from ordinals, cursors only rise, edits and erasures are folded in the
// order of the log whatever order its pages came in.

import { make } from '../../wire/codec';
import { type Ack, type Body, Code, type Deliver, type DeliverUser, type Error as Refusal, type Event, type Fetch, type FetchReply, type Head, type Sync, type SyncReply, type UserEvent } from '../../wire/im.gen';

import { Conversation, type Row } from './conversation';
import { Gap, Waiting } from './gap';
import { AGAIN, type Outgoing, Sends } from './sends';

/** Most conversations one `Sync` names. */
const MAX_CURSORS = 2000;
/** Entries of the user log that wait behind a hole. More of them come with the sync. */
const MAX_WAITING_USER = 256;
/** Messages of a conversation that stay where nobody looks further up; at twice as many the others are let go of. A tall screen
 * shows a hundred. With more, each change costs the page more, and years would be read before it shows anything. */
const KEPT = 200;
/** The least to wait before a refused sync is asked for again. */
const MIN_WAIT_MS = 100;

export type Request = { case: 'fetch'; value: Fetch } | { case: 'sync'; value: Sync } | { case: 'send'; value: Outgoing };

/** What changed, to be written in one transaction. */
export interface Changes {
  events: Event[];
  rows: Row[];
  /** Forget all events of the conversation up to this one: hidden, or let go of. */
  hidden: { conv: number; floor: number }[];
  forgotten: number[];
  outgoing: Outgoing[];
  sent: string[];
  position?: Position;
}

export interface Position {
  useq: number;
  bump: number;
}

export interface Saved {
  position: Position;
  rows: Row[];
  events: Event[];
  outgoing: Outgoing[];
}

const NOTHING: Saved = { position: { useq: 0, bump: 0 }, rows: [], events: [], outgoing: [] };

export class Replica {
  private all = new Map<number, Conversation>();
  private sends: Sends;
  private useq: number;
  private bump: number;
  private userWaiting = new Waiting<UserEvent>(MAX_WAITING_USER);
  private userGap = new Gap();
  private online = false;
  private syncing = false;
  private syncWanted = false;
  /** But not before: the last one was refused. */
  private syncPausedUntil?: number;
  /** Where the user log stood when the reply that is coming in was made. */
  private replyUseq = 0;
  private requests: Request[] = [];
  private touched = new Set<number>();
  private forgotten: number[] = [];
  private outgoingChanged = new Set<string>();
  private positionChanged = false;
  /** The conversation in which somebody may be scrolling. */
  private shown?: number;

  constructor(
    readonly me: number,
    saved: Saved = NOTHING,
    private readonly kept = KEPT,
  ) {
    const events = new Map<number, Event[]>();
    for (const event of saved.events) {
      const known = events.get(event.conv);
      if (known) known.push(event);
      else events.set(event.conv, [event]);
    }
    for (const row of saved.rows) this.all.set(row.conv, Conversation.restore(me, row, events.get(row.conv) ?? []));
    for (const conv of this.all.keys()) this.trim(conv);
    ({ useq: this.useq, bump: this.bump } = saved.position);
    this.sends = new Sends(saved.outgoing);
  }

  /** All conversations that a sync has told of, most recently changed first. */
  conversations(): Conversation[] {
    const known = [...this.all.values()].filter((conversation) => conversation.known);
    return known.sort((a, b) => b.state.atMs - a.state.atMs || a.id - b.id);
  }

  conversation(conv: number): Conversation | undefined {
    const found = this.all.get(conv);
    return found?.known ? found : undefined;
  }

  outgoing(conv: number): Outgoing[] {
    return this.sends.list().filter((one) => one.conv === conv);
  }

  unsent(clientId: string): Outgoing | undefined {
    return this.sends.find(clientId);
  }

  /** A session is open: unsent things go out again. Answers the `Sync` for `Hello.sync`. */
  connected(): Sync {
    this.online = true;
    this.syncing = true;
    this.syncWanted = false;
    return this.syncRequest();
  }

  /** The session is gone, and with it every reply that has not come. */
  disconnected() {
    this.online = this.syncing = false;
    this.replyUseq = 0;
    this.syncPausedUntil = undefined;
    this.requests = [];
    this.sends.cut();
    this.userWaiting.clear();
    this.userGap.close();
    for (const conversation of this.all.values()) conversation.cut();
  }

  deliver({ conv, from, to, events }: Deliver, now: number) {
    this.entry(conv).deliver(from, to, events, now);
    this.settle(conv, now);
  }

  deliverUser({ from, to, events }: DeliverUser, now: number) {
    if (to <= this.useq || to - from !== events.length) return;
    if (!this.userWaiting.push(from, to, events)) this.userGap.until(now);
    this.drainUser(now);
    if (this.userWaiting.first() !== undefined) this.userGap.seen(now);
  }

  page(reply: FetchReply, now: number) {
    this.entry(reply.conv).page(reply, now);
    this.settle(reply.conv, now);
  }

  /** One frame of the reply to a `Sync`. */
  syncReply(reply: SyncReply, now: number) {
    this.replyUseq = Math.max(this.replyUseq, reply.useqTo);
    this.userSynced(reply, now);
    // Made before a push that came first.
    const stale = this.replyUseq < this.useq;
    for (const delta of reply.conversations) {
      this.entry(delta.conv).delta(delta, this.replyUseq, now);
      this.settle(delta.conv, now);
    }
    if (reply.more) return;
    this.bump = Math.max(this.bump, reply.bump);
    this.positionChanged = true;
    this.syncing = false;
    this.replyUseq = 0;
    // Conversations that came up since may be in the next reply; what is in none is nothing to show.
    for (const [conv, conversation] of this.all) {
      if (!conversation.known && !conversation.awaitsSync()) this.all.delete(conv);
    }
    this.syncWanted = stale || [...this.all.values()].some((conversation) => !conversation.known);
  }

  /** A large or busy group has moved on: its events are fetched when somebody looks. */
  head(head: Head) {
    const conversation = this.all.get(head.conv);
    if (!conversation) return;
    conversation.head(head);
    this.touched.add(head.conv);
  }

  /** `false`: too much waits already. */
  send(clientId: string, conv: number, body: Body, atMs: number): boolean {
    const added = this.sends.add(clientId, conv, body, atMs);
    if (added) this.outgoingChanged.add(clientId);
    return added !== undefined;
  }

  /** It is durable. The event itself comes with the log, as the server has it. */
  ack(clientId: string, ack: Ack, now: number) {
    const outgoing = this.sends.progress(clientId, { step: 'acked', seq: ack.seq });
    if (!outgoing) return;
    this.outgoingChanged.add(clientId);
    this.entry(outgoing.conv).acked(ack.seq, ack.ord, now);
    this.settle(outgoing.conv, now);
  }

  /** A request was refused. What can be repeated is repeated after a while, in order. */
  refused(request: Request, error: Refusal, now: number) {
    const wait = AGAIN.includes(error.code) ? Math.max(error.retryAfterMs, MIN_WAIT_MS) : undefined;
    if (request.case === 'send') {
      this.sends.refused(request.value.clientId, error.code, error.retryAfterMs, now);
      this.outgoingChanged.add(request.value.clientId);
    } else if (request.case === 'fetch') {
      this.all.get(request.value.conv)?.refused(wait, now);
    } else {
      this.syncing = false;
      if (error.code === Code.BEYOND_HEAD) this.startOver();
      else this.pauseSync(now + (wait ?? MIN_WAIT_MS));
    }
  }

  discard(clientId: string) {
    if (this.sends.discard(clientId)) this.outgoingChanged.add(clientId);
  }

  retry(clientId: string) {
    if (this.sends.retry(clientId)) this.outgoingChanged.add(clientId);
  }

  /** The user looks at a conversation: asks for what is missing between its newest window and the head. */
  show(conv: number, now: number) {
    const before = this.shown;
    this.shown = conv;
    if (before !== undefined && before !== conv) this.trim(before);
    const fetch = this.online ? this.conversation(conv)?.fetchNewer(now) : undefined;
    if (fetch) this.requests.push({ case: 'fetch', value: fetch });
  }

  /** What is shown is at its newest message: nobody sees what is far above. Answers whether something was let go of. */
  atFoot(conv: number): boolean {
    return this.trim(conv);
  }

  /** The user scrolls up. `undefined`: there is nothing older. */
  older(conv: number): Fetch | undefined {
    return this.online ? this.conversation(conv)?.fetchOlder() : undefined;
  }

  /** The user has read up to here, as shown. Answers whether the server is to be told. */
  markRead(conv: number, seq: number): boolean {
    const rose = this.conversation(conv)?.markRead(seq) ?? false;
    if (rose) this.touched.add(conv);
    return rose;
  }

  /** When to call `timeout`. */
  get deadline(): number | undefined {
    const gaps = [...this.all.values()].map((conversation) => conversation.deadline);
    const all = [...gaps, this.userGap.deadline, this.sends.deadline, this.syncPausedUntil].filter((at) => at !== undefined);
    return all.length ? Math.min(...all) : undefined;
  }

  /** Holes that did not fill by themselves are asked for. */
  timeout(now: number) {
    if (this.userGap.isDue(now)) this.syncWanted = true;
    if (this.syncPausedUntil !== undefined && this.syncPausedUntil <= now) this.syncPausedUntil = undefined;
    this.sends.wake(now);
    if (this.online) for (const conversation of this.all.values()) this.ask(conversation, now);
  }

  /** What to send. Each is answered by the function of its kind, or by `refused`. */
  takeRequests(): Request[] {
    const out = this.requests;
    this.requests = [];
    if (!this.online) return [];
    if (this.syncWanted && !this.syncing && this.syncPausedUntil === undefined) {
      [this.syncWanted, this.syncing] = [false, true];
      out.push({ case: 'sync', value: this.syncRequest() });
    }
    for (let one = this.sends.next(); one; one = this.sends.next()) out.push({ case: 'send', value: one });
    return out;
  }

  takeChanges(): Changes {
    const touched = [...this.touched].flatMap((conv) => this.all.get(conv) ?? []).filter((one) => one.known);
    for (const conversation of touched) conversation.version += 1;
    const outgoing = [...this.outgoingChanged];
    const changes: Changes = {
      events: touched.flatMap((conversation) => conversation.takeChanged()),
      rows: touched.map((conversation) => conversation.row()),
      hidden: touched.map((conversation) => ({ conv: conversation.id, floor: conversation.takeForgotten() })).filter(({ floor }) => floor > 0),
      forgotten: this.forgotten,
      outgoing: outgoing.flatMap((clientId) => this.sends.find(clientId) ?? []),
      sent: outgoing.filter((clientId) => !this.sends.find(clientId)),
    };
    if (this.positionChanged) changes.position = { useq: this.useq, bump: this.bump };
    this.touched.clear();
    this.outgoingChanged.clear();
    this.forgotten = [];
    this.positionChanged = false;
    return changes;
  }

  private trim(conv: number): boolean {
    const trimmed = this.all.get(conv)?.trim(this.kept) ?? false;
    if (trimmed) this.touched.add(conv);
    return trimmed;
  }

  private entry(conv: number): Conversation {
    const found = this.all.get(conv) ?? new Conversation(this.me, conv);
    this.all.set(conv, found);
    return found;
  }

  private ask(conversation: Conversation, now: number) {
    const fetch = conversation.overdue(now);
    if (fetch) this.requests.push({ case: 'fetch', value: fetch });
  }

  /** After anything happened to a conversation: rows, requests, and own sends that have arrived. */
  private settle(conv: number, now: number) {
    const conversation = this.all.get(conv);
    if (!conversation) return;
    this.touched.add(conv);
    if (!conversation.known) this.syncWanted = true;
    if (this.online) this.ask(conversation, now);
    for (const clientId of this.sends.arrived(conv, conversation.cursor)) this.outgoingChanged.add(clientId);
    if (conv !== this.shown) this.trim(conv);
  }

  private drainUser(now: number) {
    for (let part = this.userWaiting.pop(this.useq); part; part = this.userWaiting.pop(this.useq)) {
      this.applyUser(part.events.filter((event) => event.useq > this.useq), now);
      this.useq = part.to;
      this.positionChanged = true;
      this.userGap.close();
    }
  }

  /** A part of a sync's reply: it may leave entries out that no register needs any more. */
  private userSynced({ useqFrom, useqTo, userEvents }: SyncReply, now: number) {
    this.userGap.close();
    if (useqTo > this.useq) {
      const since = Math.max(this.useq, useqFrom);
      this.applyUser(userEvents.filter((event) => event.useq > since), now);
      this.useq = useqTo;
      this.positionChanged = true;
    }
    this.drainUser(now);
  }

  private applyUser(events: UserEvent[], now: number) {
    for (const { useq, kind } of events) {
      // Of the user's own name and devices nothing here depends.
      if (!kind || kind.case === 'profile' || kind.case === 'device') continue;
      const conversation = this.entry(kind.value.conv);
      if (kind.case === 'read') conversation.state.raiseRead(kind.value.seq, kind.value.ord);
      else if (kind.case === 'settings') conversation.set(kind.value, useq);
      else if (kind.case === 'left') conversation.left(kind.value.seq, now);
      else conversation.joined(kind.value.floor);
      // Title, members and role are the sync's to tell.
      if (kind.case === 'joined') this.syncWanted = true;
      this.settle(kind.value.conv, now);
    }
  }

  /** A sync was refused: it is due again after a while, whatever else comes in meanwhile. */
  private pauseSync(until: number) {
    [this.syncWanted, this.syncPausedUntil] = [true, until];
  }

  /** The server was set back, as by a backup: nothing that is known holds any more, but for what is to be sent. */
  private startOver() {
    this.forgotten.push(...this.all.keys());
    this.all.clear();
    [this.useq, this.bump, this.syncWanted, this.positionChanged] = [0, 0, true, true];
    this.userWaiting.clear();
  }

  private syncRequest(): Sync {
    const named = this.conversations().slice(0, MAX_CURSORS);
    const cursors = named.map((conversation) => ({ conv: conversation.id, seq: conversation.cursor }));
    return make('Sync', { useq: this.useq, bump: this.bump, cursors });
  }
}
