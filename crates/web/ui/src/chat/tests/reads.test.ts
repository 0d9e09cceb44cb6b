import { afterEach, expect, test, vi } from 'vitest';

import { make } from '../../wire/codec';
import { Code } from '../../wire/im.gen';
import { Reads } from '../reads';
import { CONV } from '../replica/tests/log';

import { after, LONG, place } from './place';

afterEach(() => (vi.restoreAllMocks(), vi.unstubAllGlobals(), vi.useRealTimers()));

const error = (code: Code, retryAfterMs = 0) => make('Error', { code, retryAfterMs });

/** All that are to be told at this time. */
function told(reads: Reads, now: number) {
  const all = [];
  for (let read = reads.next(now); read; read = reads.next(now)) all.push(read);
  return all;
}

test('the highest of each is told once a session until it is confirmed', () => {
  const reads = new Reads([[1, 5], [2, 7]]);
  expect([told(reads, 0), reads.takeChanged()]).toEqual([[], undefined]);
  reads.begin();
  reads.push(2, 9);
  expect(told(reads, 0)).toEqual([[1, 5], [2, 9]]);
  expect([told(reads, 0), reads.takeChanged(), reads.takeChanged()]).toEqual([[], [[1, 5], [2, 9]], undefined]);
  reads.push(1, 6);
  reads.answered([1, 5], undefined, 0);
  reads.answered([2, 9], undefined, 0);
  expect([told(reads, 0), reads.takeChanged()]).toEqual([[[1, 6]], [[1, 6]]]);
  reads.cut();
  expect(told(reads, 0)).toEqual([]);
  reads.begin();
  expect(told(reads, 0)).toEqual([[1, 6]]);
});

test.each([
  [Code.FLOOD, 3_000, 3_000],
  [Code.UNAVAILABLE, 0, 1_000],
])('one that is refused for the time being rests, and the others with it: %s', (code, retryAfterMs, rest) => {
  const reads = new Reads([[1, 5], [2, 7]]);
  reads.begin();
  reads.next(0);
  reads.answered([1, 5], error(code, retryAfterMs), 0);
  expect([told(reads, rest - 1), reads.deadline]).toEqual([[], rest]);
  expect([told(reads, rest), reads.deadline]).toEqual([[[2, 7], [1, 5]], undefined]);
});

test('one that the server does not take is not offered again', () => {
  const reads = new Reads([[1, 5]]);
  reads.begin();
  reads.next(0);
  reads.answered([1, 5], error(Code.BEYOND_HEAD), 0);
  reads.begin();
  expect([told(reads, LONG), reads.takeChanged()]).toEqual([[], []]);
});

test('what was read in a page that was closed before the server heard of it is told by the next one', async () => {
  const { server, tab } = place(3);
  const first = await tab();
  server.isUp = false;
  first.read(CONV, 3);
  await after(100);
  first.stop();
  server.isUp = true;
  const second = await tab();
  await after(LONG);
  expect(server.heard).toEqual(['read 3']);
  second.stop();
  await tab();
  await after(LONG);
  expect(server.heard).toEqual(['read 3']);
});

test('what a busy server did not take is told again', async () => {
  const { server, tab } = place(3);
  const client = await tab();
  server.answer = ({ case: what }) => (what === 'read' && server.heard.length < 3 ? { case: 'error', value: error(Code.FLOOD, 5_000) } : undefined);
  client.read(CONV, 3);
  await after(4_000);
  expect(server.heard).toEqual(['read 3']);
  await after(LONG);
  expect(server.heard).toEqual(['read 3', 'read 3', 'read 3']);
});
