import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { type Tabs, tabsOf } from '../tabs';

import { channels, locks } from './browser';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.unstubAllGlobals());

/** A browser, in which tabs are opened. */
function browser(kind: string) {
  vi.stubGlobal('navigator', kind === 'locks' ? { locks: locks() } : {});
  vi.stubGlobal('BroadcastChannel', channels());
  vi.stubGlobal('window', new EventTarget());
  const having = new Set<string>();
  const open = (name: string, account = 'ana'): Tabs => {
    const take = () => (having.add(name), tabs.take());
    const tabs = tabsOf(account, { taken: () => having.delete(name), free: take });
    take();
    return { take, stop: () => (having.delete(name), tabs.stop()) };
  };
  /** What is so after this time. */
  const after = async (ms: number) => (await vi.advanceTimersByTimeAsync(ms), [...having].join());
  return { open, after };
}

const LONG = 60_000;

test.each(['locks', 'messages'])('the tab that was opened last has it, until another is to have it: %s', async (kind) => {
  const { open, after } = browser(kind);
  const first = open('first');
  open('second');
  expect(await after(LONG)).toBe('second');
  first.take();
  expect(await after(LONG)).toBe('first');
  first.take();
  expect(await after(LONG)).toBe('first');
  open('of somebody else', 'bo');
  expect(await after(LONG)).toBe('first,of somebody else');
});

test.each(['locks', 'messages'])('when that tab is gone, one of the others goes on: %s', async (kind) => {
  const { open, after } = browser(kind);
  open('first');
  const second = open('second');
  const third = open('third');
  await after(LONG);
  third.stop();
  expect(await after(900)).toBe('');
  expect(await after(LONG)).toMatch(/^(first|second)$/);
  second.stop();
  expect(await after(LONG)).toBe('first');
});

test.each(['locks', 'messages'])('one that is reloaded has it again, and nobody else meanwhile: %s', async (kind) => {
  const { open, after } = browser(kind);
  const first = open('first');
  const second = open('second');
  await after(LONG);
  second.stop();
  await after(900);
  const again = open('second again');
  expect(await after(LONG)).toBe('second again');
  // Whoever has left is told nothing.
  first.stop();
  again.stop();
  expect(await after(LONG)).toBe('');
});
