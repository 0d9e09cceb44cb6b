// Finding people by name.

import { type FormEvent, useEffect, useState } from 'react';

import type { User } from '../../wire/im.gen';

import { Avatar } from './Avatar';
import { useClient } from './useClient';

interface Props {
  action: string;
  onPick: (users: User[]) => void;
}

/** By the directory where there is one, else by exact names. */
export function PeopleField(props: Props) {
  const { directory } = useClient().account;
  return directory ? <Directory find={directory} {...props} /> : <Names {...props} />;
}

/** Between two questions while somebody types. */
const PAUSE_MS = 200;

function Directory({ find, action, onPick }: Props & { find: (question: string) => Promise<User[]> }) {
  const client = useClient();
  const [text, setText] = useState('');
  const [found, setFound] = useState<User[]>([]);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    const question = text.trim();
    if (!question) return setFound([]);
    let left = false;
    const ask = async () => {
      try {
        const users = await find(question);
        if (left) return;
        setFound(users.filter((user) => user.id !== client.me.id));
        setProblem(users.length ? '' : 'Nobody of that name.');
      } catch (error) {
        if (!left) setProblem(error instanceof Error ? error.message : String(error));
      }
    };
    const timer = setTimeout(() => void ask(), PAUSE_MS);
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [client, find, text]);
  const pick = (user: User) => {
    client.people.learn([user]);
    onPick([user]);
    setText('');
  };
  return (
    <div className="directory">
      <div className="inline">
        <input value={text} aria-label="Find people" placeholder="A name or a number" autoComplete="off" onChange={(event) => setText(event.target.value)} />
      </div>
      <ul aria-label="Found">
        {found.map((user) => (
          <li key={user.id}>
            <button type="button" aria-label={`${action} ${user.displayName}`} onClick={() => pick(user)}>
              <Avatar name={user.displayName} id={user.id} />
              {user.displayName}
            </button>
          </li>
        ))}
      </ul>
      {problem && text && <p className="dim" role="status">{problem}</p>}
    </div>
  );
}

function Names({ action, onPick }: Props) {
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
