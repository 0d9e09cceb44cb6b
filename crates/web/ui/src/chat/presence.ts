// Whose presence the server is asked to tell: of those on the screen, and of the other sides of conversations.

/** Most users whose presence can be watched. */
const MAX_WATCHED = 500;

export class Presence {
  private glanced = new Set<number>();
  private asked = '';

  /** Besides those of conversations, these people are on the screen. */
  glance(users: readonly number[]) {
    for (const user of users) {
      // The latest last, and those that go are the oldest.
      this.glanced.delete(user);
      this.glanced.add(user);
    }
    const over = this.glanced.size - MAX_WATCHED;
    [...this.glanced].slice(0, Math.max(0, over)).forEach((user) => this.glanced.delete(user));
  }

  /** Whom to ask for, where that has changed: `peers` come first, then who is on the screen, then `others`. */
  next(me: number, peers: number[], others: number[]): number[] | undefined {
    const all = new Set([...peers, ...this.glanced, ...others]);
    const users = [...all].filter((user) => user && user !== me).slice(0, MAX_WATCHED);
    if (users.join() === this.asked) return undefined;
    this.asked = users.join();
    return users;
  }

  /** A new session: nothing is asked for yet. */
  begin() {
    this.asked = '';
  }
}
