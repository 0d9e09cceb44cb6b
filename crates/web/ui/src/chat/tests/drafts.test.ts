import { beforeEach, expect, test, vi } from 'vitest';

import { Drafts, forgetDrafts, MAX_CHARS, MAX_DRAFTS } from '../drafts';

/** What a tab keeps, as far as it is used here. */
class Tab {
  [name: string]: unknown;
  getItem(name: string) {
    return (this[name] as string | undefined) ?? null;
  }
  setItem(name: string, text: string) {
    this[name] = text;
  }
  removeItem(name: string) {
    delete this[name];
  }
}

beforeEach(() => void vi.stubGlobal('sessionStorage', new Tab()));

test('a draft outlives a reload, for its account alone, until that signs out', () => {
  const before = new Drafts('account:1/a');
  before.set(9, 'half a thou');
  before.set(10, 'sent');
  before.set(10, '');
  expect(new Drafts('account:2/a').of(9)).toBe('');
  const after = new Drafts('account:1/a');
  expect([after.of(9), after.of(10)]).toEqual(['half a thou', '']);
  after.forget();
  expect([after.of(9), new Drafts('account:1/a').of(9)]).toEqual(['', '']);
  expect(Object.keys(sessionStorage)).toEqual([]);
});

test('a sign-out takes those of all organisations, and of nobody else', () => {
  for (const account of ['account:1/a', 'account:1/b', 'account:11/a']) new Drafts(account).set(9, account);
  forgetDrafts('account:1/');
  expect(['account:1/a', 'account:1/b', 'account:11/a'].map((account) => new Drafts(account).of(9))).toEqual(['', '', 'account:11/a']);
});

test('the oldest give way, and one that is too long is kept by the page alone', () => {
  const drafts = new Drafts('a');
  for (let conv = 1; conv <= MAX_DRAFTS; conv += 1) drafts.set(conv, `${conv}`);
  drafts.set(1, 'touched');
  drafts.set(99, 'one more');
  expect([1, 2, 3, 99].map((conv) => drafts.of(conv))).toEqual(['touched', '', '3', 'one more']);
  drafts.set(100, 'x'.repeat(MAX_CHARS + 1));
  expect(drafts.of(100)).toHaveLength(MAX_CHARS + 1);
  const after = new Drafts('a');
  expect([after.of(100), after.of(99)]).toEqual(['', 'one more']);
});

test.each(['', 'null', '{"a":1}', '[[1]]', '[["9","x"]]', '[null]'])('what cannot be read is nothing: %j', (text) => {
  sessionStorage.setItem('convene.drafts a', text);
  expect(new Drafts('a').of(9)).toBe('');
});
