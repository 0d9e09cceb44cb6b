// A name, and a button that makes something of it.

import { type FormEvent, useState } from 'react';

import { useTask } from '../useTask';

interface Props {
  label: string;
  action: string;
  onAdd: (name: string) => Promise<unknown>;
}

export function AddLine({ label, action, onAdd }: Props) {
  const [name, setName] = useState('');
  const { busy, problem, run } = useTask();
  const add = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await onAdd(name.trim());
      setName('');
    });
  };
  return (
    <form onSubmit={add} aria-label={action}>
      <span className="inline">
        <input value={name} maxLength={128} required dir="auto" autoComplete="off" aria-label={label} placeholder={label} onChange={(event) => setName(event.target.value)} />
        <button type="submit" className="secondary" disabled={busy || !name.trim()}>
          {action}
        </button>
      </span>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </form>
  );
}
