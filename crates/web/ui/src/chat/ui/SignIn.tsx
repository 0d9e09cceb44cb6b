// Who are you? On a server in development mode a name is enough.

import { type FormEvent, useState } from 'react';

import { Notice } from '../../Notice';
import { type Problem, problems } from '../../problems';
import { developmentAccount, SignedOut } from '../account';

interface Props {
  onSignIn: (known: { user: string; name: string }) => void;
  /** Where the server has accounts as well. */
  onPhone?: () => void;
}

const NAME_KEY = 'convene.name';

/** What the name is told apart by: small letters, digits, dashes. */
export function userOf(name: string): string {
  const plain = name.trim().toLowerCase().normalize('NFKC');
  return plain.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^-+|-+$/g, '');
}

export function SignIn({ onSignIn, onPhone }: Props) {
  const [name, setName] = useState(() => localStorage.getItem(NAME_KEY) ?? '');
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const enter = async (event: FormEvent) => {
    event.preventDefault();
    const known = { user: userOf(name), name: name.trim() };
    setBusy(true);
    setProblem(undefined);
    try {
      await developmentAccount(known.user, known.name).token();
      localStorage.setItem(NAME_KEY, known.name);
      onSignIn(known);
    } catch (error) {
      const byLink = { ...problems.noDevSeats, title: 'This server lets nobody in by name alone', action: 'Ask whoever runs it for a link that carries your token: #chat=…' };
      setProblem(error instanceof SignedOut ? byLink : navigator.onLine ? problems.serverUnreachable : problems.offline);
      setBusy(false);
    }
  };
  return (
    <main className="lobby sign-in">
      <header>
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>Convene</h1>
        <p>Calls and chat on your own server.</p>
      </header>
      {problem && <Notice problem={problem} />}
      <form className="card narrow" onSubmit={enter}>
        <label>
          Your name
          <input name="name" value={name} onChange={(event) => setName(event.target.value)} autoComplete="name" maxLength={60} required autoFocus placeholder="Ana" />
        </label>
        <button type="submit" className="primary" disabled={busy || !userOf(name)}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        {onPhone && (
          <button type="button" className="secondary" onClick={onPhone}>
            Use a phone number
          </button>
        )}
        <p className="hint">
          This is a server in development: a name is enough, and each tab may be somebody else. With a phone number one has an account, as elsewhere. <a href="#lobby">Join a room without chat</a>
        </p>
      </form>
    </main>
  );
}
