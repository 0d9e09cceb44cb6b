import { expect, test } from 'vitest';

import { isComposing } from '../composing';

test.each([
  ['while one composes', true, 229, true],
  ['that ends it, in Chromium and Firefox', true, 13, true],
  ['that ends it, in Safari', false, 229, true],
  ['behind it', false, 13, false],
])('a key %s', (_, composing, keyCode, taken) => {
  expect(isComposing({ nativeEvent: { isComposing: composing, keyCode } as KeyboardEvent })).toBe(taken);
});
