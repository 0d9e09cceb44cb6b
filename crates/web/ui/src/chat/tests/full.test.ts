import { afterEach, expect, test, vi } from 'vitest';

import { make } from '../../wire/codec';
import { CONV, text } from '../replica/tests/log';
import { MAX_UNSENT } from '../replica/sends';
import { Replica } from '../replica/replica';

import { place } from './place';

afterEach(() => (vi.restoreAllMocks(), vi.unstubAllGlobals(), vi.useRealTimers()));

test('who writes more than can wait is told, until there is room again or they have seen it', async () => {
  const { server, tab } = place();
  const client = await tab();
  server.isUp = false;
  for (let n = 0; n < MAX_UNSENT; n += 1) client.replica.send(`${n}`, CONV, make('Body', text('wait')), 0);
  expect([client.send(CONV, text('too much')), client.full]).toEqual([false, true]);
  client.discard('999');
  expect([client.send(CONV, text('the last')), client.full]).toEqual([true, false]);
  client.send(CONV, text('too much'));
  client.dismissFull();
  expect([client.full, client.replica.outgoing(CONV).length]).toEqual([false, MAX_UNSENT]);
});

test('what was not taken is no change to the database', () => {
  const replica = new Replica(1);
  for (let n = 0; n < MAX_UNSENT; n += 1) replica.send(`${n}`, CONV, make('Body', text('wait')), 0);
  replica.takeChanges();
  expect(replica.send('one more', CONV, make('Body', text('wait')), 0)).toBe(false);
  expect(replica.takeChanges()).toMatchObject({ outgoing: [], sent: [] });
});
