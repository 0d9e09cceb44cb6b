// From a log to what is on the screen: messages in order, between days, with what later events made of them.

import { type Body, EraseReason, type Event } from '../../wire/im.gen';
import type { People } from '../people';
import type { Conversation } from '../replica/conversation';
import type { Outgoing } from '../replica/sends';
import { EDIT } from '../replica/rules';

import { type Note, noteOf, overtaken } from './notes';

/** Messages of one sender within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
/** Field number of a reaction, as a tombstone has it. */
const REACT = 18;

export interface Shown {
  key: string;
  seq: number;
  sender: number;
  atMs: number;
  body: Body;
  /** What is to be read: after edits. */
  text: string;
  edited: boolean;
  reactions: [emoji: string, users: number[]][];
  pinned: boolean;
  /** Not in the log yet. */
  outgoing?: Outgoing;
  /** The first of several by one sender. */
  first: boolean;
}

export type Item = { kind: 'day'; key: string; atMs: number } | ({ kind: 'note'; key: string; seq: number } & Note) | { kind: 'message'; key: string; shown: Shown };

/** What a body says in words: the text itself, or a caption. */
export function textOf(body: Body | undefined): string {
  const kind = body?.kind;
  if (kind?.case === 'text') return kind.value.text;
  if (kind?.case === 'image' || kind?.case === 'file') return kind.value.caption;
  return '';
}

/** A message in one line, for lists and quotations. */
export function summary(body: Body | undefined, text = textOf(body)): string {
  const kind = body?.kind;
  switch (kind?.case) {
    case 'text':
      return text;
    case 'voice':
      return 'Voice message';
    case 'image':
      return text || 'Picture';
    case 'file':
      return text || kind.value.blob?.name || 'File';
    case 'location':
      return kind.value.label || 'Location';
    case 'card':
      return 'Business card';
    case 'custom':
      return kind.value.fallback || 'Unsupported message';
    case 'tombstone':
      return kind.value.reason === EraseReason.RECALLED ? 'Message deleted' : 'No longer available';
    default:
      return 'Unsupported message';
  }
}

const MESSAGES = ['text', 'voice', 'image', 'file', 'location', 'card', 'custom'];

/** Whether it has a place of its own in the list. */
export function isMessage(body: Body | undefined): boolean {
  const kind = body?.kind;
  if (!kind) return true; // a kind of a later version: shown as unsupported
  if (kind.case === 'tombstone') return kind.value.kind !== EDIT && kind.value.kind !== REACT;
  return MESSAGES.includes(kind.case);
}

export function shownOf(conversation: Conversation, event: Event): Shown {
  const { edited, reactions, pinned } = conversation.folded(event.seq);
  const body = event.body as Body;
  return {
    key: `${event.seq}`,
    seq: event.seq,
    sender: event.sender,
    atMs: event.atMs,
    body,
    text: edited?.text ?? textOf(body),
    edited: edited !== undefined,
    reactions: [...reactions].map(([emoji, users]) => [emoji, [...users]]),
    pinned,
    first: true,
  };
}

/** Whether both are drawn alike. */
export function same(a: Shown, b: Shown): boolean {
  return (
    a.key === b.key &&
    a.seq === b.seq &&
    a.atMs === b.atMs &&
    a.body === b.body &&
    a.text === b.text &&
    a.edited === b.edited &&
    a.pinned === b.pinned &&
    a.outgoing === b.outgoing &&
    a.first === b.first &&
    a.reactions.join() === b.reactions.join()
  );
}

function waiting(one: Outgoing, me: number): Shown {
  const { clientId, atMs, body } = one;
  return { key: clientId, seq: 0, sender: me, atMs, body, text: textOf(body), edited: false, reactions: [], pinned: false, outgoing: one, first: true };
}

export function items(conversation: Conversation, outgoing: Outgoing[], people: People, me: number): Item[] {
  const out: Item[] = [];
  let last: Shown | undefined;
  let lastDay = '';
  const put = (atMs: number, item: Item) => {
    const today = new Date(atMs).toDateString();
    if (today !== lastDay) {
      out.push({ kind: 'day', key: `day ${today}`, atMs });
      last = undefined;
    }
    lastDay = today;
    if (item.kind === 'message') {
      item.shown.first = last?.sender !== item.shown.sender || item.shown.atMs - last.atMs > TOGETHER_MS;
      last = item.shown;
    } else {
      last = undefined;
    }
    out.push(item);
  };
  const { events } = conversation.newest();
  const old = overtaken(events);
  for (const event of events) {
    if (isMessage(event.body)) {
      const shown = shownOf(conversation, event);
      put(event.atMs, { kind: 'message', key: shown.key, shown });
      continue;
    }
    const note = old.has(event) ? undefined : noteOf(event, conversation, people, me);
    if (note) put(event.atMs, { kind: 'note', key: `${event.seq}`, seq: event.seq, ...note });
  }
  const unsent = outgoing.filter((one) => isMessage(one.body) && one.progress.step !== 'acked');
  const acked = outgoing.filter((one) => isMessage(one.body) && one.progress.step === 'acked');
  for (const one of [...acked, ...unsent]) put(one.atMs, { kind: 'message', key: one.clientId, shown: waiting(one, me) });
  return out;
}

/** The last line of a conversation, for the list. */
export function preview(conversation: Conversation, people: People, me: number): { text: string; by: number } {
  for (const event of conversation.backwards()) {
    if (isMessage(event.body)) return { text: summary(event.body, shownOf(conversation, event).text), by: event.sender };
    const note = noteOf(event, conversation, people, me);
    if (note) return { text: note.text, by: 0 };
  }
  return { text: '', by: 0 };
}
