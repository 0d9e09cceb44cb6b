import { afterEach, expect, test, vi } from 'vitest';

import type { Client } from '../client';
import { CONV, text } from '../replica/tests/log';
import { Session } from '../session';

import { after, LONG, place, whole } from './place';

afterEach(() => (vi.restoreAllMocks(), vi.unstubAllGlobals(), vi.useRealTimers()));

const rowsOf = async (stores: ReturnType<typeof place>['stores']) => {
  const asked = stores.get('rows')!.getAll();
  await after(0);
  return asked.result;
};

const upTo = (last: number) => Array.from({ length: last }, (_, n) => n + 1);

test('what a closed tab owed, the one that goes on sends', async () => {
  const { server, tab } = place();
  const first = await tab();
  server.isUp = false;
  const second = await tab();
  second.send(CONV, text('owed'));
  await after(LONG);
  second.stop();
  server.isUp = true;
  await after(LONG);
  expect([first.phase, server.heard]).toEqual(['online', ['owed']]);
  expect(first.replica.outgoing(CONV)).toEqual([]);
});

test('what was discarded in a tab is not sent by the one that goes on', async () => {
  const { server, tab } = place();
  const first = await tab();
  server.isUp = false;
  first.send(CONV, text('in error'), 'aa');
  await after(LONG);
  const second = await tab();
  expect(second.replica.outgoing(CONV)).toHaveLength(1);
  second.discard('aa');
  second.stop();
  server.isUp = true;
  await after(LONG);
  expect([first.phase, server.heard, first.replica.outgoing(CONV)]).toEqual(['online', [], []]);
});

test('what a tab has let go of can be reached in the one that goes on, and after its reload', async () => {
  const { server, tab } = place(200);
  const first = await tab();
  first.show(CONV);
  for (let n = 201; n <= 450; n += 1) server.say(`${n}`);
  await after(100);
  const second = await tab();
  second.stop();
  await after(LONG);
  server.say('451');
  await after(100);
  first.stop();
  const again = await tab();
  expect(await whole(again)).toEqual(upTo(451));
});

test('a tab without the session does not write the log, whatever is looked at in it', async () => {
  const { server, stores, tab } = place(200);
  const first = await tab();
  first.show(CONV);
  for (let n = 201; n <= 450; n += 1) server.say(`${n}`);
  await after(100);
  const second = await tab();
  second.show(CONV);
  server.say('451');
  await after(100);
  const before = await rowsOf(stores);
  first.read(CONV, 450);
  first.atFoot(CONV);
  await after(LONG);
  expect(await rowsOf(stores)).toEqual(before);
  expect(server.heard).toEqual([]);
});

test('a tab that loses its turn while it reads the copy leaves it to the one that has it', async () => {
  const { server, stores, condition, tab } = place(200);
  const first = await tab();
  first.show(CONV);
  await tab();
  condition.readMs = 500;
  first.takeOver();
  await after(10);
  condition.readMs = 0;
  const third = await tab();
  await after(LONG);
  server.say('201');
  await after(100);
  const before = await rowsOf(stores);
  first.read(CONV, 200);
  await after(LONG);
  expect([first.phase, third.phase]).toEqual(['replaced', 'online']);
  expect(await rowsOf(stores)).toEqual(before);
  expect(server.heard).toEqual([]);
});

test('a tab that one writes in has the session again, with what the other one knew', async () => {
  const { server, tab } = place();
  const first = await tab();
  const second = await tab();
  server.isUp = false;
  second.send(CONV, text('there'));
  await after(100);
  server.isUp = true;
  first.send(CONV, text('here'));
  await after(LONG);
  expect([first.phase, second.phase]).toEqual(['online', 'replaced']);
  expect(server.heard.sort()).toEqual(['here', 'there']);
  expect(first.replica.outgoing(CONV)).toEqual([]);
});

/** What the user did that a database cannot take, by the stores that it is kept in. */
const REFUSED: [string, (client: Client) => void, string[]][] = [
  ['a message', (client) => client.send(CONV, text('kept')), ['before', 'kept']],
  ['a message discarded', (client) => client.discard('aa'), []],
  ['a cursor', (client) => client.read(CONV, 1), ['before', 'read 1']],
];

test.each(REFUSED)('what a full disk did not take is not lost to a tab that goes on: %s', async (_, act, heard) => {
  const { server, condition, tab } = place();
  const first = await tab();
  server.isUp = false;
  window.dispatchEvent(new Event('offline'));
  first.send(CONV, text('before'), 'aa');
  await after(LONG);
  condition.full = ['about', 'rows', 'events', 'outgoing'];
  act(first);
  await after(100);
  const second = await tab();
  second.stop();
  server.isUp = true;
  await after(LONG);
  expect([first.phase, server.heard.sort(), first.replica.outgoing(CONV)]).toEqual(['online', heard, []]);
});

test('what is written in a tab whose database the browser has closed is sent', async () => {
  const { server, cut, tab } = place();
  const first = await tab();
  await tab();
  cut();
  first.send(CONV, text('kept'));
  await after(LONG);
  expect([first.phase, server.heard, first.replica.outgoing(CONV)]).toEqual(['online', ['kept'], []]);
});

test('a file that the disk has no room for waits on in its tab', async () => {
  const { server, condition, tab } = place();
  const first = await tab();
  await tab();
  server.isUp = false;
  condition.full = ['uploads'];
  const file = { conv: CONV, file: new Blob(['a film']), name: '', width: 0, height: 0, replyTo: 0, atMs: 0 };
  first.uploads.add({ ...file, clientId: 'aa', kind: 'file' });
  await after(LONG);
  expect([first.phase, first.uploads.of(CONV).length]).toEqual(['connecting', 1]);
});

test('where the disk took everything, a tab goes on with what the other one left', async () => {
  const { server, condition, tab } = place();
  const first = await tab();
  condition.full = ['rows'];
  server.say('too much');
  await after(100);
  condition.full = [];
  server.isUp = false;
  const second = await tab();
  second.send(CONV, text('owed'));
  second.stop();
  server.isUp = true;
  await after(LONG);
  expect([first.phase, server.heard]).toEqual(['online', ['owed']]);
});

test.each([['token', 1], ['connection', 2]])('a tab that was taken over while it waited for its %s lets the other one be', async (which, connected) => {
  const { server, tab } = place();
  let settle: (token: string) => void = () => undefined;
  const token = () => new Promise<string>((settled) => (settle = settled));
  if (which === 'connection') server.openingMs = 1000;
  const first = await (which === 'token' ? tab({ key: 'ana', token }) : tab());
  server.openingMs = 0;
  const second = await tab();
  expect([first.phase, second.phase]).toEqual(['replaced', 'online']);
  settle('token');
  await after(LONG);
  expect([first.phase, second.phase, server.sessions]).toEqual(['replaced', 'online', 1]);
  expect(Session.begin).toHaveBeenCalledTimes(connected);
});
