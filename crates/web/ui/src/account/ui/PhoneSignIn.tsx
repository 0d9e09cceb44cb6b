// Into an account by a phone number and the code that comes to it; a new number becomes a new account.

import { type FormEvent, useState } from 'react';

import { ApiProblem } from '../api';
import { Login } from '../login';

interface Props {
  onIn: (login: Login) => void;
}

type Purpose = 'sign_in' | 'register';

/** The version of the policy of use that a first try agrees to; the server names the one that counts. */
const FIRST_POLICY = '1';

export function PhoneSignIn({ onIn }: Props) {
  const [purpose, setPurpose] = useState<Purpose>('sign_in');
  const [phone, setPhone] = useState('');
  const [code, setCode] = useState('');
  const [name, setName] = useState('');
  const [agreed, setAgreed] = useState(false);
  const [policy, setPolicy] = useState(FIRST_POLICY);
  const [sent, setSent] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');

  const become = (next: Purpose, words = '') => {
    setPurpose(next);
    setSent(false);
    setCode('');
    setProblem(words);
  };
  const tried = (error: unknown) => {
    if (!(error instanceof ApiProblem)) setProblem(String(error));
    else if (error.code === 'no_account') become('register', 'This number has no account yet. Create one with a new code.');
    else if (error.code === 'account_exists') become('sign_in', 'This number has an account. Sign in with a new code.');
    else if (error.code === 'consent_needed') {
      setPolicy(/version ([^\s,]+)/.exec(error.message)?.[1] ?? policy);
      setAgreed(false);
      setProblem(error.message);
    } else setProblem(error.message);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem('');
    try {
      if (!sent) {
        await Login.askForCode(phone.trim(), purpose);
        setSent(true);
      } else if (purpose === 'sign_in') {
        onIn(await Login.signIn(phone.trim(), code.trim()));
      } else {
        onIn(await Login.register(phone.trim(), code.trim(), name.trim(), policy));
      }
    } catch (error) {
      tried(error);
    }
    setBusy(false);
  };

  const register = purpose === 'register';
  const action = !sent ? 'Send code' : register ? 'Create account' : 'Sign in';
  return (
    <form className="card narrow" onSubmit={submit} aria-label={register ? 'Create account' : 'Sign in'}>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <label>
        Phone number
        <input name="phone" type="tel" value={phone} autoComplete="tel" required autoFocus readOnly={sent} placeholder="+86 138 0013 8000" onChange={(event) => setPhone(event.target.value)} />
      </label>
      {sent && (
        <label>
          Code from the message
          <input name="code" value={code} inputMode="numeric" autoComplete="one-time-code" maxLength={6} pattern="[0-9]{6}" required autoFocus onChange={(event) => setCode(event.target.value)} />
        </label>
      )}
      {sent && register && (
        <>
          <label>
            Your name
            <input name="name" value={name} autoComplete="name" maxLength={60} required onChange={(event) => setName(event.target.value)} />
          </label>
          <label className="check">
            <input type="checkbox" checked={agreed} required onChange={(event) => setAgreed(event.target.checked)} /> I agree to the policy of use, version {policy}
          </label>
        </>
      )}
      <button type="submit" className="primary" disabled={busy}>
        {busy ? 'One moment…' : action}
      </button>
      <p className="hint">
        {sent && (
          <button type="button" className="link" onClick={() => become(purpose)}>
            Another number or code
          </button>
        )}
        <button type="button" className="link" onClick={() => become(register ? 'sign_in' : 'register')}>
          {register ? 'I have an account' : 'Create an account'}
        </button>
      </p>
    </form>
  );
}
