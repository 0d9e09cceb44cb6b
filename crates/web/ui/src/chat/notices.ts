// Notices of the system for who does not look at the page: what is new in which conversation, and who calls. Rules of when
// there is one; what it looks like is the browser's matter.

import type { Event } from '../wire/im.gen';

import type { Client } from './client';
import type { Conversation } from './replica/conversation';
import { isCountable, isFor, isMissed } from './replica/rules';

/** A further message of a conversation makes itself heard again after this time; before, it only takes the other's place. */
const HEARD_EVERY_MS = 5_000;

export interface Text {
  title: string;
  body: string;
}

/** Where messages come from, and what is known of them. */
export type Source = Pick<Client, 'me' | 'replica' | 'onArrival' | 'subscribe'>;

/** What a message says, once the names in it are known. */
export type Words = (conversation: Conversation, event: Event) => Text | undefined;

/** Shows a notice until it is called back. */
export type Show = (text: Text, options: Options) => () => void;

interface Options {
  /** Of several with the same one the last is there. */
  tag: string;
  /** It makes itself heard though it takes another's place. */
  again?: boolean;
  /** It stays until it is called back. */
  stays?: boolean;
  /** Somebody chose it. */
  onOpen: () => void;
}

/** Messages that arrive while nobody looks, each conversation's in one notice, until they are read on any device. */
export class Notices {
  /** By conversation: the newest message that is to be told. */
  private waiting = new Map<number, number>();
  private shown = new Map<number, { seq: number; close: () => void; heardAt: number }>();
  private undo: (() => void)[];

  /** `looksAt`: somebody does, at a conversation. `now`: ms that only go forward. */
  constructor(
    private readonly client: Source,
    private readonly words: Words,
    private readonly show: Show,
    private readonly looksAt: (conv: number) => boolean,
    private readonly now = () => performance.now(),
  ) {
    this.undo = [client.onArrival(this.arrived), client.subscribe(this.settle)];
  }

  stop() {
    this.undo.forEach((undo) => undo());
    this.shown.forEach(({ close }) => close());
    this.shown.clear();
  }

  private arrived = (event: Event) => {
    const { me, replica } = this.client;
    const conversation = replica.conversation(event.conv);
    if (event.sender === me.id || !isNews(event, me.id)) return;
    if (conversation && isQuiet(conversation) && !isFor(me.id, event.body)) return;
    this.waiting.set(event.conv, event.seq);
  };

  private settle = () => {
    const { replica } = this.client;
    for (const [conv, { seq, close }] of this.shown) {
      if (!isOver(replica.conversation(conv), seq)) continue;
      close();
      this.shown.delete(conv);
    }
    for (const [conv, seq] of this.waiting) if (this.tell(conv, seq)) this.waiting.delete(conv);
  };

  /** Answers whether nothing is left to tell. */
  private tell(conv: number, seq: number): boolean {
    const conversation = this.client.replica.conversation(conv);
    if (this.looksAt(conv)) return true;
    if (!conversation) return false; // the sync that tells of it is under way
    if (isOver(conversation, seq)) return true;
    const event = conversation.event(seq);
    const text = event && this.words(conversation, event);
    if (!text) return false;
    const before = this.shown.get(conv);
    const again = !before || this.now() - before.heardAt >= HEARD_EVERY_MS;
    const onOpen = () => {
      location.hash = `c=${conv}`;
    };
    const close = this.show(text, { tag: `c=${conv}`, again, onOpen });
    this.shown.set(conv, { seq, close, heardAt: again ? this.now() : before.heardAt });
    return true;
  }
}

/** A message, or a call that was missed. That one rings is told by what draws it. */
function isNews({ body }: Event, me: number): boolean {
  return body?.kind?.case === 'call' ? isMissed(body.kind.value, me) : isCountable(body);
}

/** Read, gone, or not to be seen any more. */
function isOver(conversation: Conversation | undefined, seq: number): boolean {
  if (!conversation) return false;
  const event = conversation.event(seq);
  return conversation.state.read >= seq || conversation.state.floor >= seq || (event !== undefined && !isCountable(event.body));
}

/** The user does not want to be disturbed by it. */
export function isQuiet({ state }: Conversation): boolean {
  const until = state.settings.mutedUntilMs ?? 0;
  return until === -1 || until > Date.now();
}
