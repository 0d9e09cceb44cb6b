import { expect, test } from 'vitest';

import { changedParts, type Policy, ruleOf, withRule } from '../policy';

const READ: Policy = { fields: [{ field: 'about', edit: 'approval' }], directory: 'everybody', hidden: [], find_by_number: false, meetings: 'everybody', meeting_departments: [], retention_days: null, department_groups: false };

test('fields that the policy does not name are as they are from the start', () => {
  expect(['about', 'email', 'positions', 'employee_number'].map((field) => ruleOf(READ, field))).toEqual(['approval', 'free', 'approval', 'locked']);
});

test('a rule that is changed and changed back is written as it was', () => {
  const changed = withRule(READ, READ, 'email', 'locked');
  expect(ruleOf(changed, 'email')).toBe('locked');
  expect(changedParts(READ, changed)).toEqual(['people']);
  const back = withRule(changed, READ, 'email', 'free');
  expect(back.fields).toBe(READ.fields);
  expect(changedParts(READ, back)).toEqual([]);
  // A default that is said all the same is another writing of the same.
  expect(withRule(READ, READ, 'about', 'approval').fields).toBe(READ.fields);
});

test.each<[Partial<Policy>, string[]]>([
  [{}, []],
  [{ retention_days: undefined }, []],
  [{ retention_days: 30 }, ['retention']],
  [{ directory: 'division', department_groups: true }, ['people', 'groups']],
  [{ meetings: 'departments', meeting_departments: [3] }, ['meetings']],
  // Departments count where they are asked for.
  [{ meeting_departments: [3] }, []],
])('%j', (change, parts) => {
  expect(changedParts(READ, { ...READ, ...change })).toEqual(parts);
});
