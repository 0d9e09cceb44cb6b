// Ends the account for good, by a code to its number.

import { type FormEvent, useState } from 'react';

import type { Login } from '../../login';
import { CodeField, useCodes } from '../CodeStep';
import { useTask } from '../useTask';

export function EndAccount({ login, onEnded }: { login: Login; onEnded: (words: string) => void }) {
  const [code, setCode] = useState('');
  const { busy, problem, run } = useTask();
  const codes = useCodes('cancel', login.account.phone);
  const go = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      if (!codes.sentTo) return codes.ask();
      return onEnded(await login.end(code));
    });
  };
  return (
    <form className="fields" onSubmit={go} aria-label="End the account">
      {codes.sentTo && <CodeField codes={codes} value={code} onChange={setCode} onAgain={() => void run(() => codes.ask())} />}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary danger" disabled={busy}>
          {codes.sentTo ? 'End my account for good' : 'End the account…'}
        </button>
        {codes.sentTo && (
          <button type="button" className="link" onClick={codes.reset}>
            Keep it
          </button>
        )}
      </div>
    </form>
  );
}
