// Sets a password, or another one.

import { type FormEvent, useState } from 'react';

import type { Login } from '../../login';
import { useTask } from '../useTask';

export function PasswordForm({ login }: { login: Login }) {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const has = login.account.has_password;
  const set = (event: FormEvent) => {
    event.preventDefault();
    setSaid('');
    void run(async () => {
      await login.ask('PUT', '/v1/me/password', { current: has ? current : undefined, new: next });
      await login.refreshMe().catch(() => undefined);
      setCurrent('');
      setNext('');
      setSaid(has ? 'Changed. All other sign-ins have ended.' : 'Set. You can sign in with it from now on.');
    });
  };
  return (
    <form className="fields" onSubmit={set} aria-label="Password">
      {has && (
        <label className="field">
          Current password
          <input type="password" value={current} autoComplete="current-password" maxLength={128} required onChange={(event) => setCurrent(event.target.value)} />
        </label>
      )}
      <label className="field">
        New password
        <input type="password" value={next} autoComplete="new-password" minLength={8} maxLength={128} required onChange={(event) => setNext(event.target.value)} />
      </label>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || !next}>
          {has ? 'Change password' : 'Set password'}
        </button>
        {said && <span className="dim" role="status">{said}</span>}
      </div>
    </form>
  );
}
