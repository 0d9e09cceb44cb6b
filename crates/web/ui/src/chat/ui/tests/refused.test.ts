import { expect, test } from 'vitest';

import { type Init, make } from '../../../wire/codec';
import { type Body, Code, Role } from '../../../wire/im.gen';
import { People } from '../../people';
import { Replica } from '../../replica/replica';
import { BO, CONV, Log, ME, text } from '../../replica/tests/log';
import { refusals } from '../refused';

const members = (value: object): Init<Body> => ({ kind: { case: 'members', value } });

/** Somebody whose server refuses all of this. */
function refused(...acts: [Init<Body>, Code][]) {
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(new Log().sync(0), 0);
  acts.forEach(([body, code], at) => {
    replica.send(`a${at}`, CONV, make('Body', body), 0);
    const [request] = replica.takeRequests();
    if (request) replica.refused(request, make('Error', { code }), 0);
  });
  const people = new People();
  people.learn([make('User', { id: BO, displayName: 'Bo' })]);
  return { replica, said: () => refusals(replica.outgoing(CONV), people, ME) };
}

test.each<[string, Init<Body>, Code, string, boolean]>([
  ['deletion', { target: 1, kind: { case: 'recall', value: {} } }, Code.TOO_LATE, 'A message was not deleted: it is too old for that.', false],
  ['edit', { target: 1, kind: { case: 'edit', value: { text: 'tea' } } }, Code.TOO_LATE, 'A message was not changed to “tea”: it is too old for that.', false],
  ['reaction', { target: 1, kind: { case: 'react', value: { emoji: '👍' } } }, Code.BAD_TARGET, 'Your reaction 👍 was not added: it is not there any more.', false],
  ['name', { kind: { case: 'group', value: { title: 'Tea' } } }, Code.DISSOLVED, 'The group was not named “Tea”: the group was closed.', false],
  ['leave', members({ remove: [ME] }), Code.LAST_OWNER, 'You have not left the group: a group needs an owner. Make somebody else one first.', true],
  ['removal', members({ remove: [BO] }), Code.FORBIDDEN, 'Bo was not removed: you may not do it, or it is so already.', true],
  ['role', members({ role: [{ user: BO, role: Role.OWNER }] }), Code.UNKNOWN_USER, 'Bo was not made owner: somebody of them is not here any more.', false],
  ['member', members({ add: [{ user: BO, role: Role.MEMBER }] }), Code.TOO_MANY_MEMBERS, 'Bo was not added: the group is full.', true],
  ['word of a later server', { kind: { case: 'pin', value: {} } }, 99 as Code, 'Something was not done: the server did not take it.', false],
])('a refused %s is told', (_, body, code, words, again) => {
  expect(refused([body, code]).said()).toEqual([{ clientId: 'a0', text: words, again }]);
});

test('it is told until it is discarded or tried again; a message says so in its own place', () => {
  const leave = members({ remove: [ME] });
  const { replica, said } = refused([text('hello'), Code.MUTED], [leave, Code.LAST_OWNER], [leave, Code.LAST_OWNER]);
  expect(said().map(({ clientId }) => clientId)).toEqual(['a1', 'a2']);
  replica.discard('a1');
  replica.retry('a2');
  expect(said()).toEqual([]);
  expect(replica.takeChanges().sent).toEqual(['a1']);
});
