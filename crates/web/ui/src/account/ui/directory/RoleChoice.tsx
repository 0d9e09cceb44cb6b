// What somebody may do in the organisation: a role, and of administrators what they are there for. Owners give it.

import { useState } from 'react';

import { type Company, type Member, SCOPES } from '../../company';
import { Checks } from '../Checks';
import { useTask } from '../useTask';

const ROLES: [Member['role'], string][] = [
  ['member', 'Member'],
  ['admin', 'Administrator'],
  ['owner', 'Owner: everything, roles, keys and webhooks too'],
];

export const SCOPE_WORDS: Record<(typeof SCOPES)[number], string> = {
  members: 'Members: who comes in and goes, their profiles, who sees whom',
  departments: 'Departments, positions, and who stands where',
  meetings: 'Meetings: who may start them',
  content: 'Content: groups, and how long messages are kept',
  audit: 'Audit: reading the audit log and the access log',
};

interface Props {
  company: Company;
  member: Member;
  onSaved: () => void;
}

export function RoleChoice({ company, member, onSaved }: Props) {
  const [role, setRole] = useState(member.role);
  const [scopes, setScopes] = useState<string[]>(member.role === 'admin' ? member.scopes : [...SCOPES]);
  const { busy, problem, run } = useTask();
  const given = role === 'admin' ? scopes : [];
  const same = role === member.role && [...given].sort().join() === [...member.scopes].sort().join();
  const save = () =>
    run(async () => {
      await company.setRole(member.account, role, given);
      onSaved();
    });
  return (
    <div className="fields">
      <label className="field">
        Role here
        <select aria-label="Role here" value={role} onChange={(event) => setRole(event.target.value as Member['role'])}>
          {ROLES.map(([name, text]) => (
            <option key={name} value={name}>
              {text}
            </option>
          ))}
        </select>
      </label>
      {role === 'admin' && <Checks label="Administrator of" options={SCOPES.map((scope) => [scope, SCOPE_WORDS[scope]])} chosen={scopes} onChange={setScopes} />}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="button" className="secondary" disabled={busy || same || (role === 'admin' && !scopes.length)} onClick={() => void save()}>
          Save role
        </button>
      </div>
    </div>
  );
}
