import { afterEach, expect, test, vi } from 'vitest';

import { CONV, text } from '../replica/tests/log';

import { after, LONG, place, whole } from './place';

afterEach(() => (vi.restoreAllMocks(), vi.unstubAllGlobals(), vi.useRealTimers()));

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
  const rows = async () => {
    const asked = stores.get('rows')!.getAll();
    await after(0);
    return asked.result;
  };
  const before = await rows();
  first.read(CONV, 450);
  first.atFoot(CONV);
  await after(LONG);
  expect(await rows()).toEqual(before);
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
