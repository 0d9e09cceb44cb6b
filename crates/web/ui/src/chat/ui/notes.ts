// What happened to a conversation, in words: who came and went, what it is called, which calls there were.

import { CallOutcome, type CallRecord, type Event, Role } from '../../wire/im.gen';
import type { People } from '../people';
import type { Conversation } from '../replica/conversation';
import { isMissed } from '../replica/rules';

import { length } from './format';

export interface Note {
  text: string;
  /** Of a call: with camera or without, and whether one has missed it. */
  call?: { video: boolean; missed: boolean };
}

/** Nothing, where there is nothing to say. */
export function noteOf(event: Event, { state }: Conversation, people: People, me: number): Note | undefined {
  const { sender, body } = event;
  const kind = body?.kind;
  const who = sender === me ? 'You' : sender ? people.name(sender) : 'The server';
  const names = (ids: number[]) => ids.map((id) => (id === me ? 'you' : people.name(id))).join(', ');
  if (kind?.case === 'members') {
    const { add, remove, role } = kind.value;
    if (remove.length === 1 && remove[0] === sender) return { text: `${who} left` };
    if (remove.length) return { text: `${who} removed ${names(remove)}` };
    if (role.length) return { text: `${who} made ${names(role.map((one) => one.user))} ${roleName(role[0]?.role)}` };
    const others = add.map((one) => one.user).filter((user) => user !== sender);
    return { text: others.length && !state.peer ? `${who} added ${names(others)}` : `${who} began the conversation` };
  }
  if (kind?.case === 'group') {
    const { title, announcement, dissolved, muted } = kind.value;
    if (dissolved) return { text: `${who} closed the group` };
    if (title !== undefined) return { text: `${who} named the group “${title}”` };
    if (announcement !== undefined) return { text: `${who} announced: ${announcement}` };
    return { text: muted === undefined ? `${who} changed the picture` : muted ? 'Only admins may write from here on' : 'Everybody may write again' };
  }
  if (kind?.case === 'mute') return { text: `${who} ${kind.value.untilMs ? 'muted' : 'unmuted'} ${names(kind.value.users)}` };
  return kind?.case === 'call' ? callNote(kind.value, !state.peer, people, me) : undefined;
}

function callNote(call: CallRecord, group: boolean, people: People, me: number): Note {
  const { outcome, caller, durationMs, participants, video } = call;
  const who = caller === me ? 'You' : people.name(caller);
  const kind = video ? 'video call' : 'call';
  const whose = caller === me ? `Your ${kind}` : `${video ? 'Video call' : 'Call'} by ${who}`;
  const others = participants.filter((user) => user !== caller).map((user) => (user === me ? 'you' : people.name(user)));
  const withWhom = group && others.length ? ` with ${others.join(', ')}` : '';
  const words: Partial<Record<CallOutcome, string>> = {
    [CallOutcome.RINGING]: `${who} began a ${kind}`,
    [CallOutcome.ENDED]: `${whose}${withWhom}, ${length(durationMs)}`,
    [CallOutcome.DECLINED]: `${whose}, declined`,
    [CallOutcome.BUSY]: `${whose}, busy`,
    [CallOutcome.CANCELLED]: `${whose}, cancelled`,
    [CallOutcome.INTERRUPTED]: `${whose}, cut off`,
  };
  return { text: words[outcome] ?? `${whose}, not answered`, call: { video, missed: isMissed(call, me) } };
}

/** Beginnings of calls whose ends are told as well. */
export function overtaken(events: readonly Event[]): Set<Event> {
  const begun = new Map<string, Event>();
  const old = new Set<Event>();
  for (const event of events) {
    const kind = event.body?.kind;
    if (kind?.case !== 'call') continue;
    const before = begun.get(kind.value.callId);
    if (before) old.add(before);
    begun.set(kind.value.callId, event);
  }
  return old;
}

export function roleName(role: Role | undefined): string {
  return role === Role.OWNER ? 'owner' : role === Role.ADMIN ? 'admin' : 'member';
}
