// The first page: by phone where the server has accounts, by name alone where it is in development.

import { useEffect, useState } from 'react';

import { SignIn } from '../../chat/ui/SignIn';
import { signInWays, type SignInWays } from '../api';
import type { Login } from '../login';

import { PhoneSignIn } from './PhoneSignIn';

/** Between two questions to a server that does not answer. */
const AGAIN_MS = 2_000;

interface Props {
  onName: (known: { user: string; name: string }) => void;
  onLogin: (login: Login) => void;
  /** Came by a link into an organisation. */
  invited: boolean;
  /** Why one is here again. */
  why: string;
}

export function Welcome({ onName, onLogin, invited, why }: Props) {
  const [ways, setWays] = useState<SignInWays>();
  // Who had an account, or is to get one, is not asked for a name alone.
  const [byPhone, setByPhone] = useState(invited || why !== '');
  const [silent, setSilent] = useState(false);
  useEffect(() => {
    let left = false;
    const ask = async () => {
      const answer = await signInWays();
      if (left) return;
      setWays(answer);
      setSilent(!answer);
      if (!answer) setTimeout(() => void ask(), AGAIN_MS);
    };
    void ask();
    return () => {
      left = true;
    };
  }, []);

  if (!ways) return <p className="starting">{silent ? 'The server does not answer. Trying again…' : 'Opening…'}</p>;
  if (ways.name && !byPhone) return <SignIn onSignIn={onName} onPhone={ways.phone ? () => setByPhone(true) : undefined} />;
  if (!ways.phone) return <SignIn onSignIn={onName} />;
  return (
    <main className="lobby sign-in">
      <header>
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>Convene</h1>
        <p>{invited ? 'You are invited to an organisation. Sign in, or create an account, to join it.' : 'Calls and chat on your own server.'}</p>
      </header>
      <PhoneSignIn onIn={onLogin} development={ways.name} why={why} />
      {ways.name && (
        <p className="hint centre">
          <button type="button" className="link" onClick={() => setByPhone(false)}>
            By name alone (development)
          </button>
        </p>
      )}
    </main>
  );
}
