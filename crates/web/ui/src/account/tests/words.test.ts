import { expect, test } from 'vitest';

import { may } from '../company';
import { linkToken } from '../ui/Organisations';
import { words } from '../ui/useTask';
import { Cut } from '../../chat/session';

test.each([
  ['https://convene.example/#join=cvi_abc-DEF_1', 'cvi_abc-DEF_1'],
  ['  http://localhost:7880/#name=ana&join=cvi_x  ', 'cvi_x'],
  [' cvi_x ', 'cvi_x'],
  ['https://convene.example/#join=cvi_x&c=3', 'cvi_x'],
])('the secret of an invitation in %j', (text, token) => {
  expect(linkToken(text)).toBe(token);
});

test('owners may everything, administrators what their scopes say, members nothing', () => {
  const scopes = ['members'];
  expect([may({ role: 'owner', scopes: [] }, 'audit'), may({ role: 'admin', scopes }, 'members'), may({ role: 'admin', scopes }, 'audit'), may({ role: 'member', scopes: [] }, 'members')]).toEqual([true, true, false, false]);
});

test('whatever goes wrong is said in words', () => {
  expect(words(new Error('The code is wrong.'))).toBe('The code is wrong.');
  expect(words(new Cut('closed'))).toContain('no connection');
  expect([words(undefined), words(new Error(''))].every((said) => said.length > 10)).toBe(true);
});
