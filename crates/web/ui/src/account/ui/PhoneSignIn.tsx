// Into an account by a phone number: with a code that comes to it or with a password. A new number becomes a new account.

import { type FormEvent, useState } from 'react';

import { ApiProblem } from '../api';
import { Login } from '../login';

import { CodeField, useCodes } from './CodeStep';
import { useTask, words } from './useTask';

interface Props {
  onIn: (login: Login) => void;
  /** A server in development sends no messages. */
  development: boolean;
  /** Why one is asked to sign in, if that is anything to say. */
  why?: string;
}

type Way = 'sign_in' | 'register' | 'reset' | 'password';

/** The version of the policy of use that a first try agrees to; the server names the one that counts. */
const FIRST_POLICY = '1';

const TITLES: Record<Way, string> = { sign_in: 'Sign in', password: 'Sign in', register: 'Create account', reset: 'Set another password' };
const ACTIONS: Record<Way, string> = { ...TITLES, reset: 'Set password and sign in' };
const PASSWORD = { minLength: 8, maxLength: 128 };

export function PhoneSignIn({ onIn, development, why = '' }: Props) {
  const [way, setWay] = useState<Way>('sign_in');
  const [phone, setPhone] = useState('');
  const [code, setCode] = useState('');
  const [password, setPassword] = useState('');
  const [name, setName] = useState('');
  const [agreed, setAgreed] = useState(false);
  const [policy, setPolicy] = useState(FIRST_POLICY);
  const { busy, problem, setProblem, run } = useTask();
  const codes = useCodes(way === 'password' ? 'sign_in' : way, phone);
  const [notice, setNotice] = useState(why);

  const become = (next: Way, said = '') => {
    setWay(next);
    codes.reset();
    setCode('');
    setPassword('');
    setProblem(said);
    setNotice('');
  };
  const refused = (error: unknown) => {
    const kind = error instanceof ApiProblem ? error.code : '';
    if (kind === 'no_account') return become('register', words(error));
    if (kind === 'account_exists') return become('sign_in', words(error));
    if (kind === 'consent_needed') {
      setPolicy(/version ([^\s,]+)/.exec(words(error))?.[1] ?? policy);
      setAgreed(false);
    }
    throw error;
  };
  const enter = async () => {
    const number = phone.trim();
    if (way === 'password') return onIn(await Login.signIn(number, { password }));
    if (!codes.sentTo) return codes.ask();
    if (way === 'sign_in') return onIn(await Login.signIn(number, { code }));
    if (way === 'reset') return onIn(await Login.reset(number, code, password));
    return onIn(await Login.register({ phone: number, code, name: name.trim(), consent: policy, password }));
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setNotice('');
    void run(() => enter().catch(refused));
  };

  const asked = way === 'password' || codes.sentTo !== '';
  const register = way === 'register';
  return (
    <form className="card narrow" onSubmit={submit} aria-label={TITLES[way]}>
      <h2>{TITLES[way]}</h2>
      {notice && <p className="told" role="status">{notice}</p>}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <label>
        Phone number
        <input name="phone" type="tel" value={phone} autoComplete="tel" required autoFocus readOnly={codes.sentTo !== ''} placeholder="+86 138 0013 8000" onChange={(event) => setPhone(event.target.value)} />
      </label>
      {codes.sentTo && <CodeField codes={codes} value={code} onChange={setCode} development={development} onAgain={() => void run(() => codes.ask())} />}
      {asked && register && (
        <label>
          Your name
          <input name="name" value={name} autoComplete="name" maxLength={60} required onChange={(event) => setName(event.target.value)} />
        </label>
      )}
      {asked && way !== 'sign_in' && (
        <label>
          {way === 'password' ? 'Password' : register ? 'Password (optional)' : 'New password'}
          <input
            name="password"
            type="password"
            value={password}
            autoComplete={way === 'password' ? 'current-password' : 'new-password'}
            required={!register}
            {...(way === 'password' ? {} : PASSWORD)}
            onChange={(event) => setPassword(event.target.value)}
          />
        </label>
      )}
      {asked && register && (
        <label className="check">
          <input type="checkbox" checked={agreed} required onChange={(event) => setAgreed(event.target.checked)} /> I agree to the policy of use, version {policy}
        </label>
      )}
      <button type="submit" className="primary" disabled={busy || (!asked && codes.wait > 0)}>
        {busy ? 'One moment…' : asked ? ACTIONS[way] : codes.wait ? `Send code in ${codes.wait} s` : 'Send code'}
      </button>
      <Ways way={way} sent={codes.sentTo !== ''} onWay={become} />
    </form>
  );
}

/** What else one may want. */
function Ways({ way, sent, onWay }: { way: Way; sent: boolean; onWay: (way: Way) => void }) {
  const link = (next: Way, text: string) => (
    <button type="button" className="link" onClick={() => onWay(next)}>
      {text}
    </button>
  );
  return (
    <p className="ways">
      {sent && link(way, 'Another number')}
      {way === 'sign_in' && link('password', 'Use a password')}
      {(way === 'password' || way === 'reset') && link('sign_in', 'Use a code')}
      {way === 'password' && link('reset', 'Forgotten the password?')}
      {way === 'register' ? link('sign_in', 'I have an account') : link('register', 'Create an account')}
    </p>
  );
}
