import { afterEach, expect, test, vi } from 'vitest';

import { make } from '../../wire/codec';
import type { Frame } from '../../wire/im.gen';
import type { Link, Take } from '../link/link';
import { Cut, Session } from '../session';

const link = vi.hoisted(() => ({ openLink: vi.fn<(take: Take) => Promise<Link>>() }));
vi.mock('../link/link', () => link);

afterEach(() => void vi.useRealTimers());

/** A way to a server that welcomes whoever says hello. */
function way() {
  vi.useFakeTimers();
  const did: string[] = [];
  link.openLink.mockImplementation(async (take) => {
    const welcome = () => take(make('Frame', { rid: 1, body: { case: 'welcome', value: {} } }) as Frame);
    const post = () => (did.push('hello'), setTimeout(welcome));
    return { kind: 'websocket', over: new Promise(() => undefined), post, bulk: post, hint: post, close: () => did.push('closed') };
  });
  const begin = async (isOver: boolean) => {
    const begun = Session.begin({}, () => undefined, () => undefined, () => isOver);
    begun.catch(() => undefined); // looked at by the test
    await vi.advanceTimersByTimeAsync(10);
    return begun;
  };
  return { did, begin };
}

test('a session that is wanted begins with a hello', async () => {
  const { did, begin } = way();
  await begin(false);
  expect(did).toEqual(['hello']);
});

test('one that is not wanted any more when the way is open says none', async () => {
  const { did, begin } = way();
  await expect(begin(true)).rejects.toThrow(Cut);
  expect(did).toEqual(['closed']);
});
