// What bodies are: counted, erasable, erasing. The same rules as the server's, so that both end with the same log.

import { make } from '../../wire/codec';
import { type Body, CallOutcome, type CallRecord, EraseReason, FIELDS, type SeqRange } from '../../wire/im.gen';

export type Kind = NonNullable<Body['kind']>['case'];

const COUNTED: readonly (Kind | undefined)[] = ['text', 'voice', 'image', 'file', 'location', 'card', 'custom'];
const LASTING: readonly (Kind | undefined)[] = ['recall', 'pin', 'members', 'group', 'mute', 'erase', 'tombstone'];
const NUMBERS = new Map(FIELDS.Body.map(([number, name]) => [name, number]));
/** Field number of an edit, as a tombstone has it. */
export const EDIT = NUMBERS.get('edit') ?? 0;

/** Whether it is a message that counts as unread. */
export function isCountable(body: Body | undefined): boolean {
  const kind = body?.kind;
  // That a phone rings is not yet something to have missed.
  if (kind?.case === 'call') return kind.value.outcome !== CallOutcome.RINGING;
  return kind?.case === 'custom' ? !kind.value.silent : COUNTED.includes(kind?.case);
}

/** Whether it calls a user by name, or everybody. */
export function isFor(me: number, body: Body | undefined): boolean {
  return body?.mentionAll === true || body?.mentions.includes(me) === true;
}

/** Whether a call is over that this user might have answered and did not. */
export function isMissed({ caller, participants, outcome }: CallRecord, me: number): boolean {
  return caller !== me && !participants.includes(me) && outcome !== CallOutcome.RINGING && outcome !== CallOutcome.DECLINED;
}

/** Whether a body carries something that somebody said. What changes the state of a conversation stays readable. */
export function isErasable(body: Body): boolean {
  return !LASTING.includes(body.kind?.case);
}

/** Whether retention takes it. Records of calls tell that one spoke, and nothing of what: they stay. */
export function isSwept(body: Body): boolean {
  return isErasable(body) && body.kind?.case !== 'call';
}

/** What stands in the place of an erased body; a tombstone keeps its first reason. */
export function tombstone(body: Body, reason: EraseReason): Body {
  if (!isErasable(body)) return body;
  const kind = NUMBERS.get(body.kind?.case ?? '') ?? 0;
  return make('Body', { kind: { case: 'tombstone', value: { kind, reason } } });
}

/** What an event erases. */
export interface Erasure {
  ranges: SeqRange[];
  /** Edits of this message go as well. */
  editsOf: number;
  reason: EraseReason;
}

export function erasureOf(body: Body): Erasure | undefined {
  if (body.kind?.case === 'recall') {
    const ranges = [{ first: body.target, last: body.target }];
    return { ranges, editsOf: body.target, reason: EraseReason.RECALLED };
  }
  if (body.kind?.case === 'erase') return { ...body.kind.value, editsOf: 0 };
  return undefined;
}

/** Which erasures are known, so that a page read before one of them does not bring a body back. */
export class Erased {
  private by: [number, Erasure][] = [];

  learn(seq: number, body: Body): Erasure | undefined {
    const known = this.by.find(([by]) => by === seq);
    const erasure = known?.[1] ?? erasureOf(body);
    if (erasure && !known) this.by = [...this.by, [seq, erasure] as [number, Erasure]].sort((a, b) => a[0] - b[0]);
    return erasure;
  }

  /** The first erasure of this body, if one is known: the server applied them in the order of the log. */
  of(seq: number, body: Body): { by: number; reason: EraseReason } | undefined {
    if (!isErasable(body)) return undefined;
    const covers = ({ ranges, editsOf }: Erasure) =>
      ranges.some(({ first, last }) => first <= seq && seq <= last) ||
      (body.kind?.case === 'edit' && editsOf !== 0 && editsOf === body.target);
    const found = this.by.find(([by, erasure]) => by >= seq && covers(erasure));
    return found && { by: found[0], reason: found[1].reason };
  }

  trim(floor: number) {
    this.by = this.by.filter(([seq]) => seq > floor);
  }
}
