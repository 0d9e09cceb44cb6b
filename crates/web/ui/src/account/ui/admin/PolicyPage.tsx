// The policy of the organisation: everybody reads it, and whoever is there for a part of it changes that part.

import { type FormEvent, useState } from 'react';

import { ApiProblem } from '../../api';
import { type Company, may, type Standing } from '../../company';
import { changedParts, PARTS, type Policy, type Read, readPolicy, writePolicy } from '../../policy';
import { Waiting } from '../Part';
import { useLoaded, useTask } from '../useTask';

import { Groups, Meetings, People, Retention } from './policyParts';

interface Props {
  company: Company;
  standing: Standing;
}

export function PolicyPage({ company, standing }: Props) {
  const { value, problem, again } = useLoaded(async () => (await Promise.all([readPolicy(company), company.load()]))[0], company);
  const [said, setSaid] = useState('');
  if (!value) return <Waiting problem={problem} onAgain={again} />;
  const saved = () => {
    setSaid('Saved. It holds from now on.');
    again();
  };
  const afresh = () => {
    setSaid('');
    again();
  };
  return <PolicyForm key={value.tag} company={company} standing={standing} read={value} said={said} onSaved={saved} onAgain={afresh} />;
}

interface FormProps extends Props {
  read: Read;
  /** Of the last time. */
  said: string;
  onSaved: () => void;
  onAgain: () => void;
}

function PolicyForm({ company, standing, read, said, onSaved, onAgain }: FormProps) {
  const [policy, setPolicy] = useState<Policy>(read.policy);
  const [stale, setStale] = useState(false);
  const { busy, problem, run } = useTask();
  const changed = changedParts(read.policy, policy).length > 0;
  const mine = Object.values(PARTS).some((scope) => may(standing, scope));
  const save = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      try {
        await writePolicy(company, { ...read, policy });
      } catch (error) {
        setStale(error instanceof ApiProblem && error.code === 'stale');
        throw error;
      }
      onSaved();
    });
  };
  const parts = { company, standing, policy, read: read.policy, onChange: (change: Partial<Policy>) => setPolicy((before) => ({ ...before, ...change })) };
  return (
    <form className="policy" onSubmit={save} aria-label="Policy">
      <People {...parts} />
      <Meetings {...parts} />
      <Retention {...parts} />
      <Groups {...parts} />
      {mine && (
        <div className="save-bar">
          {problem && <p className="refused" role="alert">{problem}</p>}
          {said && !changed && <p className="dim" role="status">{said}</p>}
          <div className="buttons">
            <button type="submit" className="primary" disabled={busy || !changed || stale}>
              {busy ? 'One moment…' : 'Save policy'}
            </button>
            {changed && !stale && (
              <button type="button" className="link" onClick={() => setPolicy(read.policy)}>
                Undo changes
              </button>
            )}
            {stale && (
              <button type="button" className="secondary" onClick={onAgain}>
                Look at it again
              </button>
            )}
          </div>
        </div>
      )}
    </form>
  );
}
