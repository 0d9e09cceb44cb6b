import { expect, test } from 'vitest';

import { make } from '../../../wire/codec';
import { CallOutcome } from '../../../wire/im.gen';
import { People } from '../../people';
import { Replica } from '../../replica/replica';
import { BO, CONV, Log, ME, text } from '../../replica/tests/log';
import { initials, length, size } from '../format';
import { userOf } from '../SignIn';
import { items, preview } from '../view';
import { bars } from '../VoiceNote';

function shown(log: Log) {
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(log.sync(0), 0);
  const people = new People();
  people.learn([make('User', { id: BO, displayName: 'Bo' })]);
  const conversation = replica.conversation(CONV);
  if (!conversation) throw new Error('no conversation');
  return { conversation, people };
}

test('what was done to messages has no place of its own; what happened to the group has', () => {
  const log = new Log();
  log.add(BO, { kind: { case: 'members', value: { add: [{ user: BO, role: 3 }, { user: ME, role: 1 }] } } });
  log.add(BO, text('one'));
  log.add(BO, { target: 2, kind: { case: 'edit', value: { text: 'two' } } });
  log.add(ME, { target: 2, kind: { case: 'react', value: { emoji: '👍' } } });
  log.add(BO, text('gone'));
  log.add(BO, { target: 5, kind: { case: 'recall', value: {} } });
  log.add(BO, { kind: { case: 'group', value: { title: 'Tea' } } });
  log.add(ME, {}); // of a kind that is not known here
  const { conversation, people } = shown(log);
  const list = items(conversation, [], people, ME).flatMap((item) => {
    if (item.kind === 'day') return [];
    return item.kind === 'note' ? [item.text] : [`${item.shown.body.kind?.case ?? 'unknown'} ${item.shown.text}`.trim()];
  });
  expect(list).toEqual(['Bo added you', 'text two', 'tombstone', 'Bo named the group “Tea”', 'unknown']);
  expect(preview(conversation, people, ME)).toEqual({ text: 'Unsupported message', by: ME });
});

test('a call is told once: that it is on, then how it ended', () => {
  const call = (callId: string, outcome: number, more: object = {}) => ({ kind: { case: 'call' as const, value: { callId, outcome, caller: BO, participants: [BO], ...more } } });
  const log = new Log();
  log.add(BO, call('a', CallOutcome.RINGING));
  log.add(BO, call('a', CallOutcome.ENDED, { participants: [BO, ME], durationMs: 61_000, video: true }));
  log.add(BO, call('b', CallOutcome.RINGING));
  log.add(BO, call('b', CallOutcome.MISSED));
  log.add(BO, call('c', CallOutcome.DECLINED));
  log.add(BO, call('d', CallOutcome.RINGING));
  const { conversation, people } = shown(log);
  const list = items(conversation, [], people, ME).flatMap((item) => (item.kind === 'note' ? [`${item.text}${item.call?.missed ? ' (missed)' : ''}`] : []));
  expect(list).toEqual(['Video call by Bo with you, 1:01', 'Call by Bo, not answered (missed)', 'Call by Bo, declined', 'Bo began a call']);
  expect(preview(conversation, people, ME).text).toBe('Bo began a call');
});

test('messages stand together by sender and time, and days apart', () => {
  const log = new Log();
  log.add(BO, text('a'));
  log.add(BO, text('b'));
  log.add(ME, text('c'));
  const { conversation, people } = shown(log);
  const kinds = items(conversation, [], people, ME).map((item) => (item.kind === 'message' ? item.shown.first : item.kind));
  expect(kinds).toEqual(['day', true, false, true]);
});

test('a waveform has at most as many bars as fit, each as tall as its loudest point', () => {
  expect(bars(Uint8Array.from([1, 9, 3, 4]), 2)).toEqual([9, 4]);
  expect(bars(Uint8Array.from([7, 8]), 48)).toEqual([7, 8]);
  expect(bars(new Uint8Array(256).fill(5))).toHaveLength(48);
  expect(bars(new Uint8Array(0))).toEqual([]);
});

test('names, sizes and lengths', () => {
  expect(['Ana Ruiz', 'bo', '张伟', ''].map(initials)).toEqual(['AR', 'B', '张', '?']);
  expect([0, 999, 1000, 9_940, 12_345_678].map(size)).toEqual(['0 bytes', '999 bytes', '1.0 kB', '9.9 kB', '12 MB']);
  expect([0, 900, 61_000].map(length)).toEqual(['0:00', '0:01', '1:01']);
  expect(['Ana Ruiz', ' Bo ', '张 伟', '--'].map(userOf)).toEqual(['ana-ruiz', 'bo', '张-伟', '']);
});
