// A server with one conversation, and a browser in which tabs are opened that have the same copy. Time is the test's.

import { vi } from 'vitest';

import { type Init, make } from '../../wire/codec';
import { type Body, Code } from '../../wire/im.gen';
import type { Account } from '../account';
import { Client } from '../client';
import { BO, CONV, Log, ME, text } from '../replica/tests/log';
import { type Asked, Cut, type Reply, Session } from '../session';

import { disk, locks } from './browser';

/** Longer than whatever is waited for. */
export const LONG = 60_000;
const ACCOUNT: Account = { key: 'ana', token: () => Promise.resolve('token') };

export const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);

export function place(said = 1) {
  vi.useFakeTimers();
  const { stores, open, condition, cut } = disk();
  const known = new Map<string, string>();
  const localStorage = { getItem: (name: string) => known.get(name) ?? null, setItem: (name: string, value: string) => known.set(name, value) };
  vi.stubGlobal('indexedDB', { open });
  vi.stubGlobal('IDBKeyRange', { bound: (lower: unknown, upper: unknown) => ({ lower, upper }) });
  vi.stubGlobal('localStorage', localStorage);
  vi.stubGlobal('navigator', { locks: locks() });
  vi.stubGlobal('window', new EventTarget());
  vi.stubGlobal('document', Object.assign(new EventTarget(), { visibilityState: 'visible' }));

  const log = new Log();
  for (let n = 1; n <= said; n += 1) log.add(BO, text(`${n}`));
  let push: ((body: Reply) => void) | undefined;
  let replace: (code: Code) => void = () => undefined;
  const server = {
    log,
    isUp: true,
    /** How long the way there takes to open. */
    openingMs: 0,
    /** How long a session that is closed takes to end. */
    closingMs: 0,
    /** How many have begun. */
    sessions: 0,
    /** What reached it, in words. */
    heard: [] as string[],
    /** An answer of the test's own; else what a server says. */
    answer: (_: Asked): Reply | undefined => undefined,
    /** Bo writes. */
    say(words: string) {
      log.add(BO, text(words));
      push?.({ case: 'deliver', value: log.push(log.head - 1, log.head) });
    },
  };
  const reply = (asked: Asked): Reply => {
    const { case: what, value } = asked;
    if (what === 'send') server.heard.push(wordsOf(value.body));
    else if (what === 'read') server.heard.push(`read ${value.seq}`);
    const own = server.answer(asked);
    if (own) return own;
    if (what === 'sync') return { case: 'syncReply', value: log.sync(value.cursors?.[0]?.seq ?? 0) };
    if (what === 'fetch') return { case: 'fetchReply', value: log.page(value.after ?? 0, value.before ?? 0, 100, value.backward) };
    if (what !== 'send') return { case: 'done', value: {} };
    const { seq, ord } = log.add(ME, value.body ?? {});
    return { case: 'ack', value: make('Ack', { seq, ord }) };
  };
  vi.spyOn(Session, 'begin').mockImplementation(async (hello, pushed, greeted, isOver) => {
    if (server.openingMs) await new Promise((open) => setTimeout(open, server.openingMs));
    if (!server.isUp || isOver()) throw new Cut('there is no network, or no use of it');
    // A device has one session.
    replace(Code.REPLACED);
    server.sessions += 1;
    push = pushed;
    greeted({ case: 'welcome', value: make('Welcome', { me: { id: ME, name: 'ana' } }) });
    const { sync } = hello;
    if (sync) setTimeout(() => greeted(reply({ case: 'sync', value: sync })));
    let close: (code: number) => void = () => undefined;
    const over = new Promise<number>((resolve) => (close = resolve));
    replace = close;
    const ask = (asked: Asked, take: (reply: Reply) => boolean) => {
      setTimeout(() => {
        // What is asked over a dead way reaches nobody.
        if (!server.isUp) return;
        const answer = reply(asked);
        take(answer);
        if (answer.case === 'ack') pushed({ case: 'deliver', value: log.push(answer.value.seq - 1, answer.value.seq) });
      });
    };
    return { kind: 'websocket', over, close: () => setTimeout(() => close(0), server.closingMs), hint: () => undefined, probe: () => undefined, ask } as unknown as Session;
  });

  /** Another tab, which is then the one that has the session. */
  const tab = async (account = ACCOUNT): Promise<Client> => {
    const starting = Client.start(account);
    await after(100);
    const client = await starting;
    await after(100);
    return client;
  };
  return { server, stores, condition, cut, tab };
}

const wordsOf = (body: Init<Body> | undefined) => (body?.kind?.case === 'text' ? (body.kind.value.text ?? '') : `${body?.kind?.case}`);

/** Everything of the conversation that can be reached by scrolling up. */
export async function whole(client: Client): Promise<number[]> {
  client.show(CONV);
  for (let page = 0; page < 20 && !client.replica.conversation(CONV)?.bounds().atStart; page += 1) {
    client.loadOlder(CONV);
    await after(100);
  }
  return client.replica.conversation(CONV)?.newest().events.map(({ seq }) => seq) ?? [];
}
