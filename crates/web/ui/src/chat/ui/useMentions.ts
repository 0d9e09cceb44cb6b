// Calling somebody by name while one writes: who may be meant, and what the keys do with the list.

import { type KeyboardEvent, type RefObject, useEffect, useState } from 'react';

import { Role } from '../../wire/im.gen';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { isComposing } from './composing';
import { EVERYBODY, matching, type Named, typed } from './mentions';

/** Everybody whom one may call in a conversation. */
export function callable(client: Client, { id, state }: Conversation): Named[] {
  if (state.peer) return [];
  const others = (client.members.get(id) ?? []).filter(({ user }) => user !== client.me.id);
  const people = others.filter(({ user }) => client.people.isKnown(user)).map(({ user }) => ({ user, name: client.people.name(user) }));
  return state.role >= Role.ADMIN ? [...people, EVERYBODY] : people;
}

export interface Mentions {
  found: Named[];
  /** Which of them the keys are at. */
  at: number;
  choose: (named: Named) => void;
  /** Answers whether the key was for the list. */
  onKey: (event: KeyboardEvent) => boolean;
  /** The caret is elsewhere now. */
  onCaret: () => void;
}

export function useMentions(area: RefObject<HTMLTextAreaElement | null>, text: string, setText: (text: string) => void, people: Named[]): Mentions {
  const [caret, setCaret] = useState(0);
  const [index, setIndex] = useState(0);
  /** The list of this `@` was closed. */
  const [closed, setClosed] = useState(-1);
  useEffect(() => {
    if (!text) setClosed(-1); // sent: the next `@` is another one, though it may stand in the same place
  }, [text]);
  const asked = typed(text, caret);
  const found = asked && asked.from !== closed ? matching(asked.query, people) : [];
  const at = Math.min(index, Math.max(0, found.length - 1));
  const onCaret = () => {
    const now = area.current?.selectionEnd ?? 0;
    if (now !== caret) setIndex(0);
    setCaret(now);
    if (typed(area.current?.value ?? '', now)?.from !== closed) setClosed(-1);
  };
  const choose = ({ name }: Named) => {
    if (!asked) return;
    const head = `${text.slice(0, asked.from)}@${name} `;
    setText(head + text.slice(caret).replace(/^ /, ''));
    setCaret(head.length);
    setClosed(asked.from);
    // When the new text is there.
    requestAnimationFrame(() => {
      area.current?.focus();
      area.current?.setSelectionRange(head.length, head.length);
    });
  };
  const onKey = (event: KeyboardEvent) => {
    const named = found[at];
    if (isComposing(event) || !named) return false;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') setIndex((at + (event.key === 'ArrowDown' ? 1 : found.length - 1)) % found.length);
    else if ((event.key === 'Enter' && !event.shiftKey) || event.key === 'Tab') choose(named);
    else if (event.key === 'Escape') setClosed(asked?.from ?? -1);
    else return false;
    event.preventDefault();
    return true;
  };
  return { found, at, choose, onKey, onCaret };
}
