// Names of users by id: what is known, and one question for all that is not.

import { make } from '../wire/codec';
import type { User } from '../wire/im.gen';

/** Users of one question, as the server allows. */
const MAX_ASKED = 200;

export class People {
  /** Another one after each time that something was learned, or is to be asked for again. */
  version = 0;
  private known = new Map<number, User>();
  private wanted = new Set<number>();
  private asked = new Set<number>();

  learn(users: User[]) {
    for (const user of users) this.known.set(user.id, user);
    this.version += 1;
  }

  /** The user, or a placeholder until the server has told. Whoever is shown is asked for once a session: they may go by
   * another name or picture by now. */
  get(id: number): User {
    if (id && !this.asked.has(id)) this.wanted.add(id);
    return this.known.get(id) ?? make('User', { id });
  }

  /** Whether the server has told who it is. */
  isKnown(id: number): boolean {
    return this.get(id).name !== '' || this.get(id).displayName !== '';
  }

  name(id: number): string {
    const { name, displayName } = this.get(id);
    return displayName || name || '…';
  }

  /** Ids to ask for, each once a session. */
  take(): number[] {
    const ids = [...this.wanted].slice(0, MAX_ASKED);
    for (const id of ids) {
      this.wanted.delete(id);
      this.asked.add(id);
    }
    return ids;
  }

  /** A new session: what was not answered is asked again. */
  forgetAsked() {
    this.asked.clear();
    this.version += 1;
  }
}
