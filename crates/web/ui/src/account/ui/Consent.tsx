// The policy of use has another version: nothing goes on before somebody agrees to it, or signs out.

import { type FormEvent, useState } from 'react';

import type { Login } from '../login';

import { useTask } from './useTask';

interface Props {
  login: Login;
  onAgreed: () => void;
  onSignOut: () => void;
}

export function Consent({ login, onAgreed, onSignOut }: Props) {
  const [agreed, setAgreed] = useState(false);
  const { busy, problem, run } = useTask();
  const version = login.account.policy_version;
  const agree = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      try {
        await login.ask('PUT', '/v1/me/consent', { version });
      } finally {
        // It may have changed once more.
        await login.refreshMe();
      }
      setAgreed(false);
      onAgreed();
    });
  };
  return (
    <main className="lobby sign-in">
      <header>
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>The policy of use has changed</h1>
        <p>Hello {login.account.display_name}. Please agree to version {version} to go on.</p>
      </header>
      <form className="card narrow" onSubmit={agree} aria-label="Policy of use">
        {problem && <p className="refused" role="alert">{problem}</p>}
        <label className="check">
          <input type="checkbox" checked={agreed} required onChange={(event) => setAgreed(event.target.checked)} /> I agree to the policy of use, version {version}
        </label>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'One moment…' : 'Go on'}
        </button>
        <p className="ways">
          <button type="button" className="link" onClick={onSignOut}>
            Sign out
          </button>
        </p>
      </form>
    </main>
  );
}
