import { beforeEach, expect, test, vi } from 'vitest';

import { make } from '../../wire/codec';
import type { Client } from '../client';
import { Links, SPARE_MS } from '../links';

const HOUR_MS = 3_600_000;
const [NOW, CONV] = [1_000_000, 9];
const blob = make('BlobRef', { id: Uint8Array.from([1, 2]) });

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

/** A server whose addresses stand for an hour. */
function links() {
  let count = 0;
  const request = async () => ({ path: `/${(count += 1)}`, expiresMs: Date.now() + HOUR_MS });
  return { links: new Links({ request: request as unknown as Client['request'] }), asked: () => count };
}

test('an address is asked for once, and again when its time is over', async () => {
  const { links: all, asked } = links();
  const given = await all.path(CONV, blob);
  expect([given, await all.path(CONV, blob), all.serves(blob, given)]).toEqual(['/1', '/1', true]);
  vi.setSystemTime(NOW + HOUR_MS - SPARE_MS);
  expect(all.serves(blob, given)).toBe(false);
  expect(await Promise.all([all.path(CONV, blob), all.path(CONV, blob)])).toEqual(['/2', '/2']);
  expect([all.serves(blob, '/2'), all.serves(blob, '/1'), asked()]).toEqual([true, false, 2]);
});

test('one that failed is replaced before its time', async () => {
  const { links: all } = links();
  await all.path(CONV, blob);
  expect([await all.path(CONV, blob, '/1'), await all.path(CONV, blob, '/1'), await all.path(CONV, blob)]).toEqual(['/2', '/2', '/2']);
});

test('a question that found no server is asked again', async () => {
  const request = vi.fn().mockRejectedValueOnce(new Error('cut')).mockResolvedValue({ path: '/1', expiresMs: NOW + HOUR_MS });
  const all = new Links({ request });
  await expect(all.path(CONV, blob)).rejects.toThrow('cut');
  expect(await all.path(CONV, blob)).toBe('/1');
});
