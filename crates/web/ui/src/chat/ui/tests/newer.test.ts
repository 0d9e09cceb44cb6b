import { expect, test } from 'vitest';

import { scriptOf } from '../useNewer';

test('a page is known by the script that it begins with', () => {
  const page = '<head><link rel="stylesheet" href="/assets/index-CY9CUg0R.css"><script type="module" crossorigin src="/assets/index-Ynro5-hE.js"></script>';
  expect(scriptOf(page)).toBe('/assets/index-Ynro5-hE.js');
  expect(scriptOf('http://localhost:7880/assets/index-Ynro5-hE.js')).toBe('/assets/index-Ynro5-hE.js');
  for (const other of ['', '<script src="/src/main.tsx">', 'Bad gateway']) expect(scriptOf(other)).toBeUndefined();
});
