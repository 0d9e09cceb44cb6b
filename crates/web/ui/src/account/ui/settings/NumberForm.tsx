// Moves the account to another number: whoever gets the code there holds it. That they are the account's holder, and not who
// has found an unlocked phone, the password says, or a code to the number so far.

import { type FormEvent, useState } from 'react';

import type { Login } from '../../login';
import { CodeField, useCodes } from '../CodeStep';
import { useTask } from '../useTask';

export function NumberForm({ login }: { login: Login }) {
  const [phone, setPhone] = useState('');
  const [code, setCode] = useState('');
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const has = login.account.has_password;
  const [password, setPassword] = useState('');
  const [current, setCurrent] = useState('');
  const codes = useCodes('rebind', phone);
  const own = useCodes('rebind', login.account.phone);
  const go = (event: FormEvent) => {
    event.preventDefault();
    setSaid('');
    void run(async () => {
      if (!codes.sentTo) await codes.ask();
      if (!has && !own.sentTo) await own.ask();
      if (!codes.sentTo || (!has && !own.sentTo)) return undefined;
      const proof = has ? { password } : { current_code: current };
      await login.ask('PUT', '/v1/me/number', { phone: codes.sentTo, code, ...proof });
      const { phone: now } = await login.refreshMe();
      codes.reset();
      own.reset();
      [setPhone, setCode, setPassword, setCurrent].forEach((set) => set(''));
      return setSaid(`Your number is ${now} now.`);
    });
  };
  return (
    <form className="fields" onSubmit={go} aria-label="Phone number">
      <label className="field">
        New number
        <input type="tel" value={phone} autoComplete="off" required readOnly={codes.sentTo !== ''} placeholder={login.account.phone} onChange={(event) => setPhone(event.target.value)} />
      </label>
      {codes.sentTo && <CodeField label="Code to the new number" codes={codes} value={code} onChange={setCode} onAgain={() => void run(codes.ask)} />}
      {own.sentTo && <CodeField label="Code to the number so far" codes={own} value={current} onChange={setCurrent} onAgain={() => void run(own.ask)} />}
      {codes.sentTo && has && (
        <label className="field">
          Password
          <input type="password" value={password} autoComplete="current-password" maxLength={128} required onChange={(event) => setPassword(event.target.value)} />
        </label>
      )}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || !phone.trim()}>
          {codes.sentTo ? 'Change number' : has ? 'Send code to it' : 'Send codes'}
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
