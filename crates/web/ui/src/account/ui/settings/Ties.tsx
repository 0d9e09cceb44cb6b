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
  const [title, setTitle] = useState(company.org.title);
  return (
    <>
      {standing?.role === 'owner' && <Rename company={company} onRenamed={setTitle} />}
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

function Rename({ company, onRenamed }: { company: Company; onRenamed: (title: string) => void }) {
  const [text, setText] = useState(company.org.title);
  const { busy, problem, run } = useTask();
  const title = text.trim();
  const rename = (event: FormEvent) => {
    event.preventDefault();
    void run(() => company.rename(title).then(() => onRenamed(title)));
  };
  return (
    <form className="field" onSubmit={rename} aria-label="Title of the organisation">
      <label className="field">
        Its title
        <span className="inline">
          <input aria-label="Its title" value={text} maxLength={128} required dir="auto" autoComplete="off" onChange={(event) => setText(event.target.value)} />
          <button type="submit" className="secondary" disabled={busy || !title || title === company.org.title}>
            Rename
          </button>
        </span>
      </label>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </form>
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
