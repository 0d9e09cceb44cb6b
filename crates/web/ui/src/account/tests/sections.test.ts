import { expect, test } from 'vitest';

import { goodFirst, type Key } from '../integrations';
import { sectionsFor } from '../ui/settings/sections';

const keys = (...standing: Parameters<typeof sectionsFor>) => sectionsFor(...standing).map(({ key }) => key);
const EVERYBODY = ['', 'contacts', 'policy'];

test('pages follow the role', () => {
  expect(keys()).toEqual(EVERYBODY);
  expect(keys({ role: 'member', scopes: [] })).toEqual(EVERYBODY);
  expect(keys({ role: 'admin', scopes: ['audit'] })).toEqual([...EVERYBODY, 'audit', 'accesses']);
  // Keys and webhooks are for owners, whatever an administrator is there for.
  expect(keys({ role: 'admin', scopes: ['members', 'departments', 'meetings', 'content', 'audit'] })).toEqual([...EVERYBODY, 'members', 'departments', 'audit', 'accesses']);
  expect(keys({ role: 'owner', scopes: [] })).toEqual([...EVERYBODY, 'members', 'departments', 'keys', 'webhooks', 'audit', 'accesses']);
});

test('keys that are good come first', () => {
  const key = (id: string, revoked_s?: number): Key => ({ id, title: id, scopes: [], made_s: 0, revoked_s });
  expect(goodFirst([key('a', 5), key('b'), key('c', 1), key('d')]).map(({ id }) => id)).toEqual(['b', 'd', 'a', 'c']);
});
