// The organisation one is in: another one, out of it, or, for owners, its end.

import { type FormEvent, useState } from 'react';

import type { Company } from '../../company';
import { useLoaded, useTask } from '../useTask';

interface Props {
  company: Company;
  onSwitch: () => void;
}

export function Ties({ company, onSwitch }: Props) {
  const [sure, setSure] = useState<'leave' | 'dissolve'>();
  const { value: standing } = useLoaded(() => company.standing(), company);
  const { title } = company.org;
  return (
    <>
      <div className="buttons">
        <button type="button" className="secondary" onClick={onSwitch}>
          Switch or join another
        </button>
        <button type="button" className="secondary danger" onClick={() => setSure('leave')}>
          Leave the organisation
        </button>
        {standing?.role === 'owner' && (
          <button type="button" className="secondary danger" onClick={() => setSure('dissolve')}>
            Dissolve it
          </button>
        )}
      </div>
      {sure === 'leave' && <Sure key="leave" action={`Yes, leave ${title}`} work={() => company.leave()} onDone={onSwitch} onNo={() => setSure(undefined)} />}
      {sure === 'dissolve' && <Sure key="dissolve" action={`Dissolve ${title} for everybody`} asked={title} work={() => company.dissolve(title)} onDone={onSwitch} onNo={() => setSure(undefined)} />}
    </>
  );
}

interface SureProps {
  action: string;
  /** To be written by hand, where it cannot be undone. */
  asked?: string;
  work: () => Promise<void>;
  onDone: () => void;
  onNo: () => void;
}

function Sure({ action, asked = '', work, onDone, onNo }: SureProps) {
  const [text, setText] = useState('');
  const { busy, problem, run } = useTask();
  const go = (event: FormEvent) => {
    event.preventDefault();
    void run(() => work().then(onDone));
  };
  return (
    <form className="fields" onSubmit={go} aria-label={action}>
      {asked && (
        <label className="field">
          Its members lose it, and this cannot be undone. Write “{asked}” to go on
          <input value={text} autoFocus autoComplete="off" onChange={(event) => setText(event.target.value)} />
        </label>
      )}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary danger" disabled={busy || text !== asked}>
          {action}
        </button>
        <button type="button" className="link" onClick={onNo}>
          No
        </button>
      </div>
    </form>
  );
}
