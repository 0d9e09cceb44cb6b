// What later events make of a message: the last edit, reactions, a pin. Folded anew over the events known, in the order of
// the log, so it depends on what is known alone and not on the order in which it came.

import type { Event } from '../../wire/im.gen';

export interface Folded {
  /** What the last edit put in the place of its text or caption. */
  edited?: { text: string; atMs: number };
  /** Who reacted with what, in the order of the first reaction. */
  reactions: Map<string, Set<number>>;
  pinned: boolean;
}

export function fold(target: Event | undefined, later: Iterable<Event>): Folded {
  const folded: Folded = { reactions: new Map(), pinned: false };
  const kind = target?.body?.kind?.case;
  if (!target || !kind || kind === 'tombstone') return folded;
  for (const { sender, atMs, body } of later) {
    if (body?.kind?.case === 'edit' && sender === target.sender) folded.edited = { text: body.kind.value.text, atMs };
    else if (body?.kind?.case === 'react') react(folded.reactions, sender, body.kind.value);
    else if (body?.kind?.case === 'pin') folded.pinned = !body.kind.value.remove;
  }
  return folded;
}

function react(reactions: Folded['reactions'], user: number, { emoji, remove }: { emoji: string; remove: boolean }) {
  const users = reactions.get(emoji) ?? new Set();
  if (remove) users.delete(user);
  else users.add(user);
  if (users.size) reactions.set(emoji, users);
  else reactions.delete(emoji);
}
