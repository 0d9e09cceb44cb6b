// Moves the account to another number: whoever gets the code there holds it.

import { type FormEvent, useState } from 'react';

import type { Login } from '../../login';
import { CodeField, useCodes } from '../CodeStep';
import { useTask } from '../useTask';

export function NumberForm({ login }: { login: Login }) {
  const [phone, setPhone] = useState('');
  const [code, setCode] = useState('');
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const codes = useCodes('rebind', phone);
  const go = (event: FormEvent) => {
    event.preventDefault();
    setSaid('');
    void run(async () => {
      if (!codes.sentTo) return codes.ask();
      await login.ask('PUT', '/v1/me/number', { phone: codes.sentTo, code });
      const { phone: now } = await login.refreshMe();
      codes.reset();
      setPhone('');
      setCode('');
      return setSaid(`Your number is ${now} now.`);
    });
  };
  return (
    <form className="fields" onSubmit={go} aria-label="Phone number">
      <label className="field">
        New number
        <input type="tel" value={phone} autoComplete="off" required readOnly={codes.sentTo !== ''} placeholder={login.account.phone} onChange={(event) => setPhone(event.target.value)} />
      </label>
      {codes.sentTo && <CodeField codes={codes} value={code} onChange={setCode} onAgain={() => void run(() => codes.ask())} />}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || !phone.trim()}>
          {codes.sentTo ? 'Change number' : 'Send code to it'}
        </button>
        {codes.sentTo && (
          <button type="button" className="link" onClick={codes.reset}>
            Another number
          </button>
        )}
        {said && <span className="dim" role="status">{said}</span>}
      </div>
    </form>
  );
}
