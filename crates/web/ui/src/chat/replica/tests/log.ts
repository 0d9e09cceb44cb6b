// A conversation as the server has it, to hand out in pieces.

import { type Init, make } from '../../../wire/codec';
import type { Body, ConversationDelta, Deliver, Event, FetchReply, SyncReply } from '../../../wire/im.gen';
import { EraseReason } from '../../../wire/im.gen';
import { isCountable, tombstone } from '../rules';

export const ME = 1;
export const BO = 2;
export const CONV = 9;

export const text = (words: string, more: Init<Body> = {}): Init<Body> => ({ kind: { case: 'text', value: { text: words } }, ...more });

export class Log {
  /** As they were when each was pushed, and as they stand. */
  readonly pushed: Event[] = [];
  events: Event[] = [];

  constructor(readonly conv = CONV) {}

  add(sender: number, init: Init<Body>): Event {
    const body = make('Body', init);
    const seq = this.events.length + 1;
    const ord = (this.events.at(-1)?.ord ?? 0) + (isCountable(body) ? 1 : 0);
    const event = make('Event', { conv: this.conv, seq, ord, sender, atMs: seq * 1000, body });
    this.pushed.push(event);
    this.events.push(event);
    if (body.kind?.case === 'recall') this.recall(body.target);
    return event;
  }

  private recall(target: number) {
    this.events = this.events.map((event) => {
      const body = event.body ?? make('Body');
      const taken = event.seq === target || (body.kind?.case === 'edit' && body.target === target);
      return taken ? { ...event, body: tombstone(body, EraseReason.RECALLED) } : event;
    });
  }

  get head(): number {
    return this.events.length;
  }

  push(from: number, to: number): Deliver {
    return make('Deliver', { conv: this.conv, from, to, events: this.pushed.slice(from, to) });
  }

  page(after: number, before: number, limit = 100, backward = false): FetchReply {
    const end = before ? before - 1 : this.head;
    const from = backward ? Math.max(after, end - limit) : after;
    const to = backward ? end : Math.min(end, after + limit);
    const { head } = this;
    const headOrd = this.events.at(-1)?.ord ?? 0;
    return make('FetchReply', { conv: this.conv, from, to, events: this.events.slice(from, to), head, headOrd });
  }

  /** A sync's reply to a client at `cursor`, with at most `most` events. */
  sync(cursor: number, most = 1000, more: Init<ConversationDelta> = {}): SyncReply {
    const from = Math.max(cursor, this.head - most);
    const last = this.events.at(-1);
    const delta = {
      ...{ conv: this.conv, kind: 2, title: 'Tea', head: this.head, headOrd: last?.ord ?? 0, role: 1, memberCount: 2, atMs: last?.atMs ?? 0 },
      ...{ from, to: this.head, events: this.events.slice(from), limited: from > cursor },
      ...more,
    };
    return make('SyncReply', { bump: this.head, conversations: [delta] });
  }
}
