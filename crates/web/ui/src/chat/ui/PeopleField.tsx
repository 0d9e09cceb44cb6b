// Finding people by name.

import { type FormEvent, useState } from 'react';

import type { User } from '../../wire/im.gen';

import { useClient } from './useClient';

interface Props {
  action: string;
  onPick: (users: User[]) => void;
}

export function PeopleField({ action, onPick }: Props) {
  const client = useClient();
  const [text, setText] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const find = async (event: FormEvent) => {
    event.preventDefault();
    const names = text.split(/[,;]/).map((name) => name.trim()).filter(Boolean);
    if (!names.length) return;
    setBusy(true);
    setProblem('');
    try {
      const users = await client.findByName(names);
      const missing = names.filter((name) => !users.some((user) => user.name === name));
      if (missing.length) setProblem(`Not known here: ${missing.join(', ')}. They have to sign in once.`);
      const others = users.filter((user) => user.id !== client.me.id);
      if (others.length && !missing.length) {
        setText('');
        onPick(others);
      }
    } catch {
      setProblem(client.isOnline ? 'The server did not answer. Try again.' : 'There is no connection. Try again when it is back.');
    }
    setBusy(false);
  };
  return (
    <form onSubmit={find}>
      <div className="inline">
        <input value={text} aria-label="Names of people" placeholder="ana, bo" autoCapitalize="none" spellCheck={false} onChange={(event) => setText(event.target.value)} />
        <button type="submit" className="secondary" disabled={busy || !text.trim()}>
          {action}
        </button>
      </div>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </form>
  );
}
