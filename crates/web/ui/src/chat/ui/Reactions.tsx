// Reactions below a message, and a few to choose from.

import type { Client } from '../client';

import { useClient } from './useClient';
import type { Shown } from './view';

const OFFERED = ['👍', '❤️', '😂', '🎉', '😮', '🙏'];

function react(client: Client, conv: number, shown: Shown, emoji: string) {
  const remove = shown.reactions.some(([one, users]) => one === emoji && users.includes(client.me.id));
  client.send(conv, { target: shown.seq, kind: { case: 'react', value: { emoji, remove } } });
}

export function Reactions({ conv, shown }: { conv: number; shown: Shown }) {
  const client = useClient();
  return (
    <div className="reactions">
      {shown.reactions.map(([emoji, users]) => {
        const names = users.map((user) => client.people.name(user)).join(', ');
        const own = users.includes(client.me.id);
        return (
          <button key={emoji} type="button" aria-pressed={own} aria-label={`${emoji} by ${names}`} title={names} onClick={() => react(client, conv, shown, emoji)}>
            {emoji} {users.length > 1 && users.length}
          </button>
        );
      })}
    </div>
  );
}

export function ReactionPicker({ conv, shown, onDone }: { conv: number; shown: Shown; onDone: () => void }) {
  const client = useClient();
  return (
    <div className="picker" role="group" aria-label="Reactions" onKeyDown={(event) => event.key === 'Escape' && onDone()}>
      {OFFERED.map((emoji, at) => (
        <button
          key={emoji}
          type="button"
          className="plain"
          autoFocus={at === 0}
          onClick={() => {
            react(client, conv, shown, emoji);
            onDone();
          }}
        >
          {emoji}
        </button>
      ))}
    </div>
  );
}
