import { expect, test } from 'vitest';

import { accountsIn, type AuditRecord, particulars, sentence, subjectOf } from '../records';

const record = (act: string, target: string, detail = '', actor = 1): AuditRecord => ({ number: 1, at_ms: 0, actor, address: '', act, target, detail, hash: '' });
const nameOf = (account: number) => ({ 1: 'Ana', 2: 'Bo' })[account] ?? `account ${account}`;

test.each<[AuditRecord, string]>([
  [record('member.remove', 'account:2'), 'Ana removed Bo'],
  [record('member.edit', 'account:1'), 'Ana changed their own profile'],
  [record('member.edit', 'account:2', '{"fields":["about"]}'), 'Ana changed the profile of Bo'],
  [record('request.approve', 'request:9', '{"account":2}'), 'Ana let in Bo'],
  [record('organisation.found', 'account:1'), 'Ana founded the organisation'],
  [record('organisation.found', 'account:2', '', 0), 'The server or its operator founded the organisation for Bo'],
  [record('department.add', 'department:4', '{"parent":0}'), 'Ana added a department (department 4)'],
  [record('accesses.read', ''), 'Ana read the access log'],
  [record('accesses.read', 'account:2'), 'Ana read the access log of Bo'],
  [record('moon.land', 'moon:1'), 'Ana moon.land moon:1'],
])('%j', (one, words) => {
  expect(sentence(one, nameOf)).toBe(words);
});

test('everybody who is named is asked for once, and nobody is no account', () => {
  const records = [record('member.edit', 'account:2'), record('request.approve', 'request:1', '{"account":2}', 0), record('policy.change', 'policy:2')];
  expect(accountsIn(records)).toEqual([1, 2]);
  expect(records.map(subjectOf)).toEqual([2, 2, 0]);
});

test.each<[string, string, string]>([
  ['key.make', '{"scopes":5}', 'rooms, audit'],
  ['webhook.make', '{"kinds":12}', 'calls, messages'],
  ['member.role', '{"role":2,"scopes":17}', 'admin, members, audit'],
  ['member.role', '{"role":3,"scopes":0}', 'member'],
  ['member.edit', '{"fields":["avatar","about"],"places":null}', 'fields avatar, about'],
  ['member.edit', '{"fields":[],"places":[[4,null]]}', 'places [[4,null]]'],
  ['request.approve', '{"account":2}', ''],
  ['invitation.make', '{"uses":50,"ask":false}', 'uses 50'],
  ['invitation.make', '{"uses":1,"ask":true}', 'uses 1, ask'],
  ['moon.land', 'on foot', 'on foot'],
  ['policy.change', '', ''],
])('what changed by %s %s', (act, detail, words) => {
  expect(particulars(record(act, 'x:1', detail))).toBe(words);
});
