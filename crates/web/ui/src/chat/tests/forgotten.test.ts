import { afterEach, expect, test, vi } from 'vitest';

import { make } from '../../wire/codec';
import { Code } from '../../wire/im.gen';
import { hex } from '../bytes';
import type { Client } from '../client';
import { CONV } from '../replica/tests/log';
import type { Asked, Reply } from '../session';

import { after, place } from './place';

afterEach(() => (vi.restoreAllMocks(), vi.unstubAllGlobals(), vi.useRealTimers()));

/** A server that takes files, and may drop them. */
function withFiles() {
  const made = place();
  const { server, stores } = made;
  const files = { brought: 0, there: new Set<string>(), muted: false, forgets: false, committed: () => Promise.resolve() };
  vi.stubGlobal('fetch', async (path: string) => {
    if (!path.endsWith('/commit')) return new Response(JSON.stringify({ upload: 'one', offset: 5, complete: true }));
    files.brought += 1;
    await files.committed();
    const id = `0${files.brought}`;
    if (!files.forgets) files.there.add(id);
    return new Response(JSON.stringify({ id, size: 5, mime: 'audio/ogg', voice: { duration_ms: 1, loudness_dlufs: 0, waveform: [] } }));
  });
  server.answer = ({ case: what, value }: Asked): Reply | undefined => {
    if (what !== 'send') return undefined;
    const refuse = (code: Code): Reply => ({ case: 'error', value: make('Error', { code }) });
    if (files.muted) return refuse(Code.MUTED);
    const kind = value.body?.kind;
    const id = kind?.case === 'voice' && kind.value.blob?.id;
    return id && files.there.has(hex(id)) ? undefined : refuse(Code.UNKNOWN_BLOB);
  };
  const speak = (client: Client, clientId = 'aa') =>
    client.uploads.add({ clientId, conv: CONV, kind: 'voice', file: new Blob(['hello']), name: '', width: 0, height: 0, replyTo: 0, atMs: 0 });
  /** Ids of what the database keeps. */
  const kept = async (store: string) => {
    const asked = stores.get(store)!.getAll();
    await after(0);
    return (asked.result as { clientId: string }[]).map(({ clientId }) => clientId);
  };
  return { ...made, files, speak, kept };
}

const stepOf = (client: Client, clientId = 'aa') => client.replica.unsent(clientId)?.progress.step;
const becomes = (client: Client, step: string | undefined) => vi.waitFor(() => expect(stepOf(client)).toBe(step));
const voices = ({ log }: ReturnType<typeof withFiles>['server']) =>
  log.events.flatMap(({ body }) => (body?.kind?.case === 'voice' && body.kind.value.blob ? [hex(body.kind.value.blob.id)] : []));

test('a file is kept until its message is in the log', async () => {
  const { server, files, tab, speak, kept } = withFiles();
  const client = await tab();
  files.muted = true;
  speak(client);
  await becomes(client, 'refused');
  expect([await kept('uploads'), await kept('outgoing'), client.uploads.of(CONV)]).toEqual([['aa'], ['aa'], []]);
  files.muted = false;
  client.retry('aa');
  await becomes(client, undefined);
  expect([await kept('uploads'), await kept('outgoing'), files.brought, voices(server)]).toEqual([[], [], 1, ['01']]);
});

test.each(['the same page', 'a later one'])('what the server has dropped meanwhile is brought once more: by %s', async (which) => {
  const { server, files, tab, speak, kept } = withFiles();
  let client = await tab();
  files.muted = true;
  speak(client);
  await becomes(client, 'refused');
  files.muted = false;
  files.there.clear();
  if (which === 'a later one') {
    client.stop();
    client = await tab();
  }
  expect(client.uploads.of(CONV)).toEqual([]);
  client.retry('aa');
  await vi.waitFor(() => expect(voices(server)).toEqual(['02']));
  await becomes(client, undefined);
  expect([files.brought, client.uploads.of(CONV), await kept('uploads'), await kept('outgoing')]).toEqual([2, [], [], []]);
});

test('what waited for longer than the server keeps it is brought once more without being asked', async () => {
  const { server, files, tab, speak } = withFiles();
  const client = await tab();
  const { answer } = server;
  const ways: string[] = [];
  // The way is cut behind the upload: the message goes out in a later session.
  server.answer = (asked) => (asked.case === 'send' ? (ways.push('lost'), { case: 'done', value: {} }) : undefined);
  speak(client);
  await vi.waitFor(() => expect(ways).toEqual(['lost']));
  client.stop();
  files.there.clear();
  server.answer = answer;
  await tab();
  await vi.waitFor(() => expect(voices(server)).toEqual(['02']));
  expect(files.brought).toBe(2);
});

test('a server that never has it is not asked again and again', async () => {
  const { files, tab, speak } = withFiles();
  const client = await tab();
  files.forgets = true;
  speak(client);
  await becomes(client, 'refused');
  await after(60_000);
  expect([stepOf(client), files.brought]).toEqual(['refused', 1]);
  client.retry('aa');
  await vi.waitFor(() => expect(files.brought).toBe(2));
  await becomes(client, 'refused');
  await after(60_000);
  expect([stepOf(client), files.brought]).toEqual(['refused', 2]);
});

test('a message that is discarded takes its file along', async () => {
  const { files, tab, speak, kept } = withFiles();
  const client = await tab();
  files.muted = true;
  speak(client);
  await becomes(client, 'refused');
  client.discard('aa');
  expect([await kept('uploads'), await kept('outgoing'), client.uploads.of(CONV)]).toEqual([[], [], []]);
});

test('an upload that ends after another tab took over does not take the session from it', async () => {
  const { server, files, tab, speak, kept } = withFiles();
  const first = await tab();
  const held: (() => void)[] = [];
  files.committed = () => new Promise((go) => held.push(go));
  speak(first);
  await vi.waitFor(() => expect(held).toHaveLength(1));
  // The first one's session is not over yet, and the second one has none yet.
  server.isUp = false;
  server.closingMs = 10_000;
  const second = await tab();
  held[0]!();
  await after(1000);
  server.isUp = true;
  files.committed = () => Promise.resolve();
  await after(60_000);
  await vi.waitFor(() => expect(voices(server)).toHaveLength(1));
  await becomes(second, undefined);
  expect([first.phase, second.phase, await kept('uploads')]).toEqual(['replaced', 'online', []]);
});
