import { afterEach, expect, test, vi } from 'vitest';

import type { Client } from '../client';
import type { Database } from '../database';
import { Uploads } from '../outbox';
import type { Upload } from '../uploads';

afterEach(() => vi.unstubAllGlobals());

/** A server that takes a piece when it is told to. What was asked and sent is in `log`. */
function place() {
  const log: string[] = [];
  const there = new Map<string, { size: number; offset: number }>();
  const gates: (() => void)[] = [];
  const reply = (value: unknown) => new Response(JSON.stringify(value), { status: 200 });
  vi.stubGlobal('fetch', async (path: string, { body, signal, headers }: RequestInit & { headers: Record<string, string> }) => {
    signal?.throwIfAborted();
    if (path === '/im/blobs') {
      const { sha256, size } = JSON.parse(body as string) as { sha256: string; size: number };
      const one = there.get(sha256) ?? { size, offset: 0 };
      there.set(sha256, one);
      log.push(`${size} from ${one.offset}`);
      return reply({ upload: sha256, offset: one.offset, complete: one.offset === size });
    }
    const [, , , upload, commit] = path.split('/');
    const one = there.get(upload!)!;
    if (commit) return reply({ id: 'ab', size: one.size, mime: '', voice: { duration_ms: 1, loudness_dlufs: 0, waveform: [] } });
    await new Promise<void>((go, fail) => {
      gates.push(go);
      signal!.addEventListener('abort', () => fail(new Error('aborted')));
    });
    one.offset = Number(headers['upload-offset']) + (body as ArrayBuffer).byteLength;
    return reply({ upload, offset: one.offset, complete: one.offset === one.size });
  });
  const client = {
    account: { token: () => Promise.resolve('token') },
    isOnline: true,
    changed: () => undefined,
    takeOver: () => undefined,
    send: (_conv: number, _body: unknown, clientId: string) => log.push(`sent ${clientId}`) > 0,
  };
  const database = { writeUpload: () => undefined, dropUpload: () => undefined };
  const uploads = new Uploads(client as unknown as Client, database as unknown as Database);
  const add = (kind: Upload['kind'], clientId: string, size: number) =>
    uploads.add({ clientId, conv: 1, kind, file: new Blob([new Uint8Array(size)]), name: clientId, width: 0, height: 0, replyTo: 0, atMs: 0 });
  /** Answers how many pieces waited. */
  const take = () => gates.splice(0).map((go) => go()).length;
  return { log, add, take };
}

test('what was spoken does not wait for a file, which goes on where it was', async () => {
  const { log, add, take } = place();
  add('file', 'film', 40_000);
  await vi.waitFor(() => expect(log).toEqual(['40000 from 0']));
  await vi.waitFor(() => expect(take()).toBe(2));
  add('file', 'picture', 700);
  add('voice', 'hello', 900);
  await vi.waitFor(() => (take(), expect(log).toContain('sent picture')), { interval: 5 });
  const [, hello, sent, film] = log;
  expect([hello, sent]).toEqual(['900 from 0', 'sent hello']);
  expect(film).toMatch(/^40000 from \d+$/);
  expect(log.slice(-3)).toEqual(['sent film', '700 from 0', 'sent picture']);
});
