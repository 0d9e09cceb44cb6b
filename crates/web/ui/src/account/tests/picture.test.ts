import { expect, test } from 'vitest';

import { MIDDLE, square } from '../picture';
import { tagOf } from '../api';
import { picturePath } from '../../call/pictures';

test.each([
  [{ width: 400, height: 300 }, MIDDLE, { x: 50, y: 0, side: 300 }],
  [{ width: 300, height: 400 }, { zoom: 2, across: 0, down: 1 }, { x: 0, y: 250, side: 150 }],
  [{ width: 100, height: 100 }, { zoom: 4, across: 1, down: 0.5 }, { x: 75, y: 37.5, side: 25 }],
  // Nothing outside of the picture, whatever is asked for.
  [{ width: 100, height: 100 }, { zoom: 0, across: 7, down: -7 }, { x: 0, y: 0, side: 100 }],
])('the square of %j at %j', (size, cut, found) => {
  expect(square(size, cut)).toEqual(found);
});

test.each([
  ['"7"', '"7"'],
  ['W/"7"', '"7"'],
])('the version in the tag %s', (etag, tag) => {
  expect(tagOf(new Response(null, { headers: { etag } }))).toBe(tag);
});

test.each([
  ['https://elsewhere.example/v1/pictures/7/ab?expires=1&sig=2', '/v1/pictures/7/ab?expires=1&sig=2'],
  ['/v1/pictures/7/ab', '/v1/pictures/7/ab'],
  ['https://elsewhere.example/spy.png', undefined],
  ['/v1/pictures/../me', undefined],
  ['//', undefined],
  ['', undefined],
  [undefined, undefined],
])('the picture at %s', (attribute, path) => {
  expect(picturePath(attribute, 'https://convene.example')).toBe(path);
});
