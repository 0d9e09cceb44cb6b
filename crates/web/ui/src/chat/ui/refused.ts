// What the server refused of what one did beside writing, in words: what it was, why, and whether it is worth another try.
// Refused messages have a place of their own, in the list.

import { type Body, Code } from '../../wire/im.gen';
import type { People } from '../people';
import type { Outgoing } from '../replica/sends';

import { roleName } from './notes';
import { isMessage } from './view';

export interface Refusal {
  clientId: string;
  text: string;
  /** It may be taken the next time. */
  again: boolean;
}

const WHY: Partial<Record<Code, string>> = {
  [Code.TOO_LATE]: 'it is too old for that',
  [Code.LAST_OWNER]: 'a group needs an owner. Make somebody else one first',
  [Code.FORBIDDEN]: 'you may not do it, or it is so already',
  [Code.MUTED]: 'only admins may write here',
  [Code.NOT_A_MEMBER]: 'you are no member of this conversation',
  [Code.DISSOLVED]: 'the group was closed',
  [Code.BAD_TARGET]: 'it is not there any more',
  [Code.UNKNOWN_USER]: 'somebody of them is not here any more',
  [Code.TOO_MANY_MEMBERS]: 'the group is full',
  [Code.TOO_LONG]: 'it is too long',
};

/** What stands in the way of these, somebody can remove. */
const MAY_CHANGE: readonly Code[] = [Code.LAST_OWNER, Code.FORBIDDEN, Code.MUTED, Code.TOO_MANY_MEMBERS];

export function refusals(outgoing: readonly Outgoing[], people: People, me: number): Refusal[] {
  return outgoing.flatMap(({ clientId, body, progress }) => {
    if (progress.step !== 'refused' || isMessage(body)) return [];
    const why = WHY[progress.code] ?? 'the server did not take it';
    return [{ clientId, text: `${whatWas(body, people, me)}: ${why}.`, again: MAY_CHANGE.includes(progress.code) }];
  });
}

function whatWas({ kind }: Body, people: People, me: number): string {
  switch (kind?.case) {
    case 'recall':
      return 'A message was not deleted';
    case 'edit':
      // What was written is not to be lost with it.
      return `A message was not changed to “${kind.value.text}”`;
    case 'react':
      return `Your reaction ${kind.value.emoji} was not ${kind.value.remove ? 'taken back' : 'added'}`;
    case 'group':
      return kind.value.title === undefined ? 'The group was not changed' : `The group was not named “${kind.value.title}”`;
    case 'members': {
      const { add, remove, role } = kind.value;
      const were = (users: number[]) => `${users.map((user) => people.name(user)).join(', ')} ${users.length > 1 ? 'were' : 'was'} not`;
      if (remove.includes(me)) return 'You have not left the group';
      if (remove.length) return `${were(remove)} removed`;
      if (role.length) return `${were(role.map(({ user }) => user))} made ${roleName(role[0]?.role)}`;
      return `${were(add.map(({ user }) => user))} added`;
    }
    default:
      return 'Something was not done';
  }
}
