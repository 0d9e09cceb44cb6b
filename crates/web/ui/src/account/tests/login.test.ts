import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { SignedOut } from '../../chat/account';
import { ApiProblem } from '../api';
import { Login, OVER } from '../login';

const KEY = 'convene.login';
const store = new Map<string, string>();

beforeEach(() => {
  store.clear();
  store.set(KEY, JSON.stringify({ account: { id: 7 }, access: 'spent', expiresMs: 0, refresh: 'r1' }));
  const setItem = (key: string, text: string) => void store.set(key, text);
  vi.stubGlobal('localStorage', { getItem: (key: string) => store.get(key) ?? null, setItem, removeItem: (key: string) => store.delete(key) });
  vi.stubGlobal('navigator', { onLine: true });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Somebody who has signed in before, and what answers them. */
function visit(answer: (path: string, init: RequestInit) => Promise<Response>): Login {
  vi.stubGlobal('fetch', answer);
  const login = Login.restore();
  if (!login) throw new Error('nobody has signed in');
  return login;
}

const ours = (status: number, code: string, detail = 'said') =>
  new Response(JSON.stringify({ status, code, detail }), { status, headers: { 'content-type': 'application/problem+json' } });
const proxy = (status: number, type = 'text/html', text = '<h1>No</h1>') => new Response(text, { status, headers: { 'content-type': type } });

test.each<[string, () => Response]>([
  ['a firewall', () => proxy(403)],
  ['a proxy that wants a password', () => proxy(407)],
  ['a gateway that speaks JSON', () => proxy(401, 'application/json', '{"code":"denied"}')],
  ['a server that has enough of it', () => ours(429, 'too_many_requests')],
  ['a server that cannot', () => ours(503, 'unavailable')],
])('%s ends no sign-in', async (_, answer) => {
  const login = visit(async () => answer());
  await expect(login.token()).rejects.toBeInstanceOf(ApiProblem);
  expect(await login.whyOver()).toBeUndefined();
  expect(store.has(KEY)).toBe(true);
});

test.each([
  ['session_stolen', 401, 'A copy was used.'],
  ['account_disabled', 403, 'It is blocked.'],
  ['session_ended', 401, OVER],
])('the server ends one, and says why: %s', async (code, status, words) => {
  const login = visit(async () => ours(status, code, words));
  await expect(login.token()).rejects.toBeInstanceOf(SignedOut);
  expect(store.has(KEY)).toBe(false);
  // As chat finds it: whoever asks next has nothing to be refused.
  expect(await login.whyOver()).toBe(words);
});

test('a page that is stopped on its way says nothing of the sign-in', async () => {
  store.set(KEY, JSON.stringify({ account: { id: 7 }, access: 'good', expiresMs: Date.now() + 600_000, refresh: 'r1' }));
  const login = visit(async () => proxy(403));
  expect(await login.whyOver()).toBeUndefined();
  expect(store.has(KEY)).toBe(true);
});

test('a renewal that nobody answers ends in time, and is repeated with the same token', async () => {
  const impatient = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(AbortSignal.abort());
  const asked: unknown[] = [];
  const login = visit(async (_, { body, signal }) => {
    asked.push(JSON.parse(body as string));
    signal?.throwIfAborted();
    return Response.json({ access_token: 'a2', expires_in_s: 600, refresh_token: 'r2', session_id: 's' });
  });
  await expect(login.token()).rejects.toMatchObject({ code: 'unreachable' });
  expect(await login.token()).toBe('a2');
  expect(asked).toEqual([{ refresh_token: 'r1' }, { refresh_token: 'r1' }]);
  expect(impatient).toHaveBeenCalledTimes(2);
});
