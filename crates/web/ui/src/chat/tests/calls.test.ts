import { beforeEach, expect, test, vi } from 'vitest';

import { make } from '../../wire/codec';
import { CallOutcome, CallStanding } from '../../wire/im.gen';
import { Calls } from '../calls';
import { pageTitle } from '../ui/notice';

const [ME, BO] = [1, 2];
const NOW = 1_000_000;

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

/** A call by Bo that rings until then. */
const call = (callId: string, ringsUntilMs: number, standing = CallStanding.RINGING) =>
  make('CallState', { callId, version: 1, caller: BO, outcome: CallOutcome.RINGING, ringsUntilMs, people: [{ user: ME, standing }] });

test('a call rings as long as it was said, whether or not more is heard of it', () => {
  const calls = new Calls();
  calls.begin(NOW);
  calls.take(call('a', NOW + 5_000));
  expect([calls.ringing(ME)?.callId, calls.ringing(BO), calls.ringing(ME, 'a')]).toEqual(['a', undefined, undefined]);
  vi.setSystemTime(NOW + 4_999);
  expect(calls.ringing(ME)?.callId).toBe('a');
  vi.setSystemTime(NOW + 5_000);
  expect(calls.ringing(ME)).toBeUndefined();
  expect(calls.get('a')).toBeDefined(); // it may be on
});

test.each([-3_600_000, 3_600_000])('by the clock of the server, which is %d ms ahead', (ahead) => {
  const calls = new Calls();
  calls.begin(NOW + ahead);
  const one = call('a', NOW + ahead + 5_000);
  calls.take(one);
  expect(calls.ringsForMs(one)).toBe(5_000);
});

test('one that was answered does not ring, and no other for it', () => {
  const calls = new Calls();
  calls.begin(NOW);
  calls.take(call('a', NOW + 5_000, CallStanding.ACCEPTED));
  calls.take(call('b', NOW));
  expect(calls.ringing(ME)).toBeUndefined();
  calls.take(call('c', NOW + 5_000));
  expect(calls.ringing(ME)?.callId).toBe('c');
});

test('the tab says who calls, and else what is unread', () => {
  expect([pageTitle(0), pageTitle(3), pageTitle(3, 'Bo')]).toEqual(['Convene', '(3) Convene', 'Bo is calling · Convene']);
});
