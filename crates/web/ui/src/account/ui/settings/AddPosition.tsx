// Another position to choose from, for who arranges the organisation.

import { useState } from 'react';

import type { Company } from '../../company';
import { useTask } from '../useTask';

export function AddPosition({ company, onAdded }: { company: Company; onAdded: () => void }) {
  const [name, setName] = useState('');
  const { busy, problem, run } = useTask();
  const add = () =>
    run(async () => {
      await company.addPosition(name.trim());
      await company.load(true);
      setName('');
      onAdded();
    });
  return (
    <div className="field">
      <span className="inline">
        <input value={name} maxLength={80} aria-label="Name of a new position" placeholder="Another position" onChange={(event) => setName(event.target.value)} />
        <button type="button" className="secondary" disabled={busy || !name.trim()} onClick={() => void add()}>
          Add position
        </button>
      </span>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </div>
  );
}
