// Puts a department below another one, with everything in it.

import { useState } from 'react';

import type { Company, Department } from '../../company';
import { branch, inTreeOrder } from '../../structure';
import { useTask } from '../useTask';

interface Props {
  company: Company;
  department: Department;
  onMove: (parent: number) => Promise<void>;
}

export function MoveTo({ company, department: { id, name, parent }, onMove }: Props) {
  const [to, setTo] = useState(parent);
  const { busy, problem, run } = useTask();
  const own = branch(company.departments, id);
  const others = inTreeOrder(company.departments).filter(({ department }) => !own.has(department.id));
  return (
    <div className="field">
      <span className="inline">
        <select aria-label={`Where ${name} stands`} value={to} onChange={(event) => setTo(Number(event.target.value))}>
          <option value={0}>{company.org.title}</option>
          {others.map(({ department }) => (
            <option key={department.id} value={department.id}>
              {company.pathOf(department.id)}
            </option>
          ))}
        </select>
        <button type="button" className="secondary" disabled={busy || to === parent} onClick={() => void run(() => onMove(to))}>
          Move there
        </button>
      </span>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </div>
  );
}
