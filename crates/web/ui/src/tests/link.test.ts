import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { readLink, showRoom } from '../link';

const kept = new Map<string, string>();

beforeEach(() => {
  kept.clear();
  vi.stubGlobal('location', { hash: '', search: '', pathname: '/' });
  vi.stubGlobal('history', { replaceState: (_: null, __: string, path: string) => (location.hash = path.slice(path.indexOf('#'))) });
  const getItem = (key: string) => kept.get(key) ?? null;
  const setItem = (key: string, text: string) => void kept.set(key, text);
  vi.stubGlobal('sessionStorage', { getItem, setItem, removeItem: (key: string) => kept.delete(key) });
});
afterEach(() => vi.unstubAllGlobals());

/** What an address says. */
function at(hash: string) {
  location.hash = hash;
  const { room, token, lobby } = readLink();
  return { room, token, lobby };
}

test('a token that one came into a room by is there after a reload, and not in the address', () => {
  expect(at('#token=a.b.c')).toEqual({ room: '', token: 'a.b.c', lobby: true });
  showRoom('the tea room', 'a.b.c');
  expect(location.hash).toBe('#room=the%20tea%20room');
  expect(readLink()).toMatchObject({ room: 'the tea room', token: 'a.b.c', lobby: true });
});

test('it is of use in that room alone, and another one takes its place', () => {
  showRoom('tea', 'a.b.c');
  expect(at('#room=coffee')).toEqual({ room: 'coffee', token: '', lobby: true });
  expect(at('')).toEqual({ room: '', token: '', lobby: false });
  expect(at('#room=tea&token=d.e.f').token).toBe('d.e.f');
  showRoom('coffee');
  expect(at('#room=tea').token).toBe('');
});

test.each(['', 'null', '7', '{"room":"tea","token":7}'])('what cannot be read is nothing: %j', (text) => {
  kept.set('convene.seat', text);
  expect(at('#room=tea').token).toBe('');
});
