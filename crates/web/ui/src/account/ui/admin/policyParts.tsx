// The parts of a policy. Each says who changes it, and is closed to all others.

import { type ReactNode, useState } from 'react';

import { type Company, type FieldRule, may, type Standing } from '../../company';
import { FIELDS, MAX_RETENTION_DAYS, type Part, PARTS, type Policy, ruleOf, withRule } from '../../policy';

import { DepartmentPicker } from './DepartmentPicker';

export interface PartProps {
  company: Company;
  standing: Standing;
  policy: Policy;
  /** As the server has it. */
  read: Policy;
  onChange: (change: Partial<Policy>) => void;
}

const RULES: [FieldRule, string][] = [
  ['free', 'Members edit it'],
  ['approval', 'An administrator has to agree'],
  ['locked', 'Administrators only'],
];

interface FrameProps {
  part: Part;
  standing: Standing;
  title: string;
  children: ReactNode;
}

function Frame({ part, standing, title, children }: FrameProps) {
  const scope = PARTS[part];
  const open = may(standing, scope);
  return (
    <section className="part" aria-label={title}>
      <h2>{title}</h2>
      <p className="dim">{open ? 'You may change this, as owners and administrators for' : 'Changed by owners and administrators for'} {scope}.</p>
      <fieldset className="fields" disabled={!open}>
        {children}
      </fieldset>
    </section>
  );
}

export function People({ company, standing, policy, read, onChange }: PartProps) {
  return (
    <Frame part="people" standing={standing} title="Profiles and directory">
      <div className="rules" role="group" aria-label="Who edits what of a profile">
        {FIELDS.map(([field, name]) => (
          <label key={field} className="field">
            {name}
            <select value={ruleOf(policy, field)} onChange={(event) => onChange(withRule(policy, read, field, event.target.value as FieldRule))}>
              {RULES.map(([rule, words]) => (
                <option key={rule} value={rule}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        ))}
      </div>
      <label className="field">
        Members see in the directory
        <select value={policy.directory} onChange={(event) => onChange({ directory: event.target.value as Policy['directory'] })}>
          <option value="everybody">Everybody</option>
          <option value="division">Who stands in the same branch from the top</option>
          <option value="department">Who stands in one of the same departments or below</option>
        </select>
      </label>
      <DepartmentPicker company={company} label="Departments whose members only their own see" chosen={policy.hidden} disabled={!may(standing, PARTS.people)} onChange={(hidden) => onChange({ hidden })} />
      <label className="check">
        <input type="checkbox" checked={policy.find_by_number} onChange={(event) => onChange({ find_by_number: event.target.checked })} /> Members find each other by the whole phone number
      </label>
    </Frame>
  );
}

export function Meetings({ company, standing, policy, onChange }: PartProps) {
  return (
    <Frame part="meetings" standing={standing} title="Meetings">
      <label className="field">
        Meetings and calls to groups are started by
        <select value={policy.meetings} onChange={(event) => onChange({ meetings: event.target.value as Policy['meetings'] })}>
          <option value="everybody">Everybody</option>
          <option value="departments">Members of some departments, and administrators for meetings</option>
          <option value="admins">Administrators for meetings</option>
        </select>
      </label>
      {policy.meetings === 'departments' && (
        <DepartmentPicker company={company} label="Departments that may start them" chosen={policy.meeting_departments} disabled={!may(standing, PARTS.meetings)} onChange={(meeting_departments) => onChange({ meeting_departments })} />
      )}
      <p className="hint">Calls from one person to another are everybody’s.</p>
    </Frame>
  );
}

export function Retention({ standing, policy, onChange }: PartProps) {
  const days = policy.retention_days ?? 0;
  return (
    <Frame part="retention" standing={standing} title="Messages">
      <label className="check">
        <input type="checkbox" checked={!days} onChange={(event) => onChange({ retention_days: event.target.checked ? null : YEAR_DAYS })} /> Messages are kept for ever
      </label>
      {days > 0 && <Days days={days} onChange={(retention_days) => onChange({ retention_days })} />}
    </Frame>
  );
}

/** A number while it is being typed may be none. */
function Days({ days, onChange }: { days: number; onChange: (days: number) => void }) {
  const [text, setText] = useState<string>();
  const type = (typed: string) => {
    setText(typed);
    const number = Number(typed);
    if (Number.isInteger(number) && number >= 1 && number <= MAX_RETENTION_DAYS) onChange(number);
  };
  return (
    <label className="field">
      Days that they are kept
      <input type="number" min={1} max={MAX_RETENTION_DAYS} required value={text ?? days} onChange={(event) => type(event.target.value)} onBlur={() => setText(undefined)} />
    </label>
  );
}

/** What is offered first. */
const YEAR_DAYS = 365;

export function Groups({ standing, policy, onChange }: PartProps) {
  return (
    <Frame part="groups" standing={standing} title="Groups of departments">
      <label className="check">
        <input type="checkbox" checked={policy.department_groups} onChange={(event) => onChange({ department_groups: event.target.checked })} /> Departments have groups: who stands in one, or below it, is in its group
      </label>
    </Frame>
  );
}
