// What an organisation lets its members do: read with its version, changed only where it is still that version.

import { tagOf } from './api';
import type { Company, FieldRule } from './company';

export interface Rule {
  field: string;
  edit: FieldRule;
}

export interface Policy {
  /** Fields that are not named are as they are from the start. */
  fields: Rule[];
  /** Whom members see. */
  directory: 'everybody' | 'division' | 'department';
  /** Departments whose members only their own and administrators see. */
  hidden: number[];
  find_by_number: boolean;
  /** Who starts meetings and calls to groups. */
  meetings: 'everybody' | 'departments' | 'admins';
  meeting_departments: number[];
  /** None: for ever. */
  retention_days?: number | null;
  department_groups: boolean;
}

export interface Read {
  policy: Policy;
  /** Its version. */
  tag: string;
}

/** What may be edited of a profile, as people call it. */
export const FIELDS: [field: string, name: string][] = [
  ['display_name', 'Name'],
  ['avatar', 'Picture'],
  ['about', 'About'],
  ['email', 'Mail'],
  ['workplace', 'Workplace'],
  ['employee_number', 'Employee number'],
  ['departments', 'Departments'],
  ['positions', 'Positions'],
];

/** Parts of a policy, and the scope that changing one takes (`accounts::policy::Policy::acts_to_replace`). */
export const PARTS = { people: 'members', meetings: 'meetings', retention: 'content', groups: 'departments' } as const;
export type Part = keyof typeof PARTS;

/** The longest retention that can be said (`accounts::policy::MAX_RETENTION_DAYS`). */
export const MAX_RETENTION_DAYS = 36_500;

/** Where the policy does not say (`accounts::policy::default_edit`). */
const DEFAULT_RULES: Record<string, FieldRule> = { departments: 'approval', positions: 'approval', employee_number: 'locked' };

export async function readPolicy(company: Company): Promise<Read> {
  const response = await company.login.send('GET', company.path('/policy'));
  return { policy: (await response.json()) as Policy, tag: tagOf(response) };
}

/** Answers the version from now on. One that was changed meanwhile is refused as `stale`. */
export async function writePolicy(company: Company, { policy, tag }: Read): Promise<string> {
  return tagOf(await company.login.send('PUT', company.path('/policy'), policy, { 'if-match': tag }));
}

export function ruleOf({ fields }: Pick<Policy, 'fields'>, field: string): FieldRule {
  return fields.find((rule) => rule.field === field)?.edit ?? DEFAULT_RULES[field] ?? 'free';
}

/** With another rule for a field. What is as `read` said it is written as `read` had it: another writing of the same takes a
 * scope that whoever changes something else may lack. */
export function withRule(policy: Policy, read: Policy, field: string, edit: FieldRule): Policy {
  const next = { ...policy, fields: [...policy.fields.filter((rule) => rule.field !== field), { field, edit }] };
  const same = FIELDS.every(([one]) => ruleOf(next, one) === ruleOf(read, one));
  return same ? { ...next, fields: read.fields } : next;
}

/** Which parts differ. */
export function changedParts(before: Policy, after: Policy): Part[] {
  const differs = (...keys: (keyof Policy)[]) => keys.some((key) => JSON.stringify(before[key] ?? null) !== JSON.stringify(after[key] ?? null));
  const departments = after.meetings === 'departments' && differs('meeting_departments');
  const parts: [Part, boolean][] = [
    ['people', differs('fields', 'directory', 'hidden', 'find_by_number')],
    ['meetings', differs('meetings') || departments],
    ['retention', differs('retention_days')],
    ['groups', differs('department_groups')],
  ];
  return parts.filter(([, is]) => is).map(([part]) => part);
}
