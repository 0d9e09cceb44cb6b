import { expect, test } from 'vitest';

import { type Init, make } from '../../wire/codec';
import { type Body, CallOutcome, type Event } from '../../wire/im.gen';
import { Notices, type Source } from '../notices';
import { BO, CONV, Log, ME, text } from '../replica/tests/log';
import { Replica } from '../replica/replica';

/** Two people, a conversation, and somebody who does not look at it. What is on the screen of the system is in `shown`. */
function away() {
  const log = new Log();
  log.add(BO, text('before'));
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(log.sync(0, 1000), 0);
  const listeners: { arrived?: (event: Event) => void; changed?: () => void } = {};
  const client: Source = {
    me: make('User', { id: ME }),
    replica,
    onArrival: (listener) => ((listeners.arrived = listener), () => delete listeners.arrived),
    subscribe: (listener) => ((listeners.changed = listener), () => delete listeners.changed),
  };
  const page = { looks: false, known: true, now: 0 };
  const shown = new Map<string, string>();
  const heard: boolean[] = [];
  const words = (_: unknown, { body }: Event) => (page.known ? { title: 'Bo', body: `${body?.kind?.case}` } : undefined);
  const notices = new Notices(
    client,
    words,
    ({ body }, { tag, again }) => {
      shown.set(tag, body);
      heard.push(again === true);
      return () => shown.delete(tag);
    },
    () => page.looks,
    () => page.now,
  );
  const come = (sender: number, body: Init<Body>) => {
    const { seq } = log.add(sender, body);
    const push = log.push(seq - 1, seq);
    replica.deliver(push, 0);
    push.events.forEach((event) => listeners.arrived?.(event));
    listeners.changed?.();
    return seq;
  };
  return { replica, page, shown, heard, notices, come, changed: () => listeners.changed?.(), listeners };
}

const call = (outcome: CallOutcome, participants: number[] = []) =>
  make('Body', { kind: { case: 'call', value: { callId: 'c', caller: BO, outcome, participants } } });

test('a message that comes while nobody looks is shown until it is read', () => {
  const { replica, shown, come, changed } = away();
  const seq = come(BO, text('hello'));
  expect([...shown]).toEqual([[`c=${CONV}`, 'text']]);
  replica.markRead(CONV, seq);
  changed();
  expect([...shown]).toEqual([]);
});

test('who looks, writes themselves or wants no disturbance is left alone, unless they are called by name', () => {
  const { replica, page, shown, come } = away();
  page.looks = true;
  come(BO, text('seen'));
  page.looks = false;
  come(ME, text('from another device'));
  expect([...shown]).toEqual([]);
  replica.conversation(CONV)?.set(make('Settings', { conv: CONV, mutedUntilMs: -1 }), 1);
  come(BO, text('quiet'));
  expect([...shown]).toEqual([]);
  come(BO, { ...text('you there'), mentions: [ME] });
  expect(shown.size).toBe(1);
});

test.each([
  ['that rings', CallOutcome.RINGING, [], false],
  ['that was missed', CallOutcome.CANCELLED, [], true],
  ['that one declined', CallOutcome.DECLINED, [], false],
  ['that one was in', CallOutcome.ENDED, [ME], false],
])('a call %s', (_, outcome, participants, told) => {
  const { shown, come } = away();
  come(BO, call(outcome, participants));
  expect(shown.size).toBe(told ? 1 : 0);
});

test('a reaction is no news, and what is taken back is told no more', () => {
  const { shown, come } = away();
  const seq = come(BO, text('oops'));
  come(BO, make('Body', { target: seq, kind: { case: 'react', value: { emoji: '👍' } } }));
  expect([...shown.values()]).toEqual(['text']);
  come(BO, make('Body', { target: seq, kind: { case: 'recall', value: {} } }));
  expect([...shown]).toEqual([]);
});

test('it waits for the name of who wrote, and makes itself heard once in a while', () => {
  const { page, shown, heard, come, changed } = away();
  page.known = false;
  come(BO, text('hello'));
  expect([...shown]).toEqual([]);
  page.known = true;
  changed();
  expect([...shown.values()]).toEqual(['text']);
  for (const now of [1_000, 4_000, 6_000]) {
    page.now = now;
    come(BO, text('and'));
  }
  expect(heard).toEqual([true, false, false, true]);
});

test('nothing is left behind when the page lets go', () => {
  const { shown, come, notices, listeners } = away();
  come(BO, text('hello'));
  notices.stop();
  expect([[...shown], listeners]).toEqual([[], {}]);
});
