import { expect, test } from 'vitest';

import { calledIn, EVERYBODY, matching, type Named, split, typed } from '../mentions';

const people: Named[] = ['Ana', 'Ana Silva', 'Bo (ops)', '张伟', '张伟强', ''].map((name, at) => ({ user: at + 1, name }));

test.each([
  ['@Ana look', ['Ana']],
  ['@Ana Silva, @Ana: look', ['Ana', 'Ana Silva']],
  ['@Anabel is not here', []],
  ['ana@Ana.example is an address', []],
  ['see @Bo (ops)', ['Bo (ops)']],
  ['@张伟你好', ['张伟']],
  ['你好@张伟强', ['张伟强']],
  ['@all @Ana', ['Ana', 'all']],
  ['@', []],
])('who is called in %j', (text, names) => {
  expect(calledIn(text, [...people, EVERYBODY]).map(({ name }) => name)).toEqual(names);
});

test('a text is split at who is called, and loses nothing', () => {
  const text = 'hi @Ana Silva and @张伟!';
  expect(split(text, people)).toEqual(['hi ', '@Ana Silva', ' and ', '@张伟', '!']);
  expect(split(text, people).join('')).toBe(text);
});

test.each([
  ['@', 1, { from: 0, query: '' }],
  ['hi @an', 6, { from: 3, query: 'an' }],
  ['hi @Ana Si', 10, { from: 3, query: 'Ana Si' }],
  ['你好@张', 4, { from: 2, query: '张' }],
  ['a@an', 4, undefined],
  ['@ an', 4, undefined],
  ['@an\nd', 5, undefined],
  ['@an', 0, undefined],
])('what is typed in %j up to %i', (text, caret, found) => {
  expect(typed(text, caret)).toEqual(found);
});

test('found by the beginning of a name or of a word of it', () => {
  const names = (query: string) => matching(query, people).map(({ name }) => name);
  expect([names('an'), names('sil'), names('张'), names('ana silva'), names('x')]).toEqual([['Ana', 'Ana Silva'], ['Ana Silva'], ['张伟', '张伟强'], [], []]);
});
