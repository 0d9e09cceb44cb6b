// What may be lost: who types, who is there, how far others have read.

import { type Hint, type Presence, TypingKind } from '../wire/im.gen';

/** A client says every 4 seconds that somebody types; a little more without it, and they have stopped. */
const TYPING_MS = 6_000;

export class Hints {
  private typing = new Map<number, Map<number, number>>();
  private presence = new Map<number, Presence>();
  /** Read cursors of others, by conversation and user. */
  private cursors = new Map<number, Map<number, number>>();

  take(hint: Hint, now: number) {
    if (hint.kind?.case === 'typing') {
      const { conv, user, kind } = hint.kind.value;
      const users = this.typing.get(conv) ?? new Map<number, number>();
      if (kind === TypingKind.STOPPED) users.delete(user);
      else users.set(user, now + TYPING_MS);
      this.typing.set(conv, users);
    } else if (hint.kind?.case === 'presence') {
      this.presence.set(hint.kind.value.user, hint.kind.value);
    } else if (hint.kind?.case === 'receipt') {
      const { conv, user, seq } = hint.kind.value;
      this.read(conv, user, seq);
    }
  }

  /** Somebody's message is there: they have stopped typing. */
  spoke(conv: number, user: number) {
    this.typing.get(conv)?.delete(user);
  }

  /** Somebody's read cursor, which only rises. */
  read(conv: number, user: number, seq: number) {
    const users = this.cursors.get(conv) ?? new Map<number, number>();
    users.set(user, Math.max(seq, users.get(user) ?? 0));
    this.cursors.set(conv, users);
  }

  /** How far each of these users has read, in no order. */
  readCursors(conv: number, users: readonly number[]): number[] {
    const cursors = this.cursors.get(conv);
    return users.map((user) => cursors?.get(user) ?? 0);
  }

  whoTypes(conv: number, now: number): number[] {
    return [...(this.typing.get(conv) ?? [])].filter(([, until]) => until > now).map(([user]) => user);
  }

  online(user: number): boolean {
    return this.presence.get(user)?.online ?? false;
  }

  lastSeenMs(user: number): number {
    return this.presence.get(user)?.lastSeenMs ?? 0;
  }

  /** The session is gone: nobody knows who is there. */
  cut() {
    this.presence.clear();
    this.typing.clear();
  }
}
