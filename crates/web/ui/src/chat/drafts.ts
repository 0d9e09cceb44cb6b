// What somebody has begun to write, by conversation. A reload does not lose it; it stays in this tab, and goes at the sign-out.

type Kept = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** Drafts that are kept, the latest: who has begun more has forgotten the first. */
export const MAX_DRAFTS = 30;
/** Characters of all of them that are kept over a reload. They are written with each key that is pressed, and tabs have 5 MB. */
export const MAX_CHARS = 60_000;
const KEY = 'convene.drafts ';

export class Drafts {
  /** The latest last. */
  private all: Map<number, string>;

  constructor(
    private readonly account: string,
    private readonly kept: Kept | undefined = storage(),
  ) {
    this.all = read(kept, KEY + account);
  }

  of(conv: number): string {
    return this.all.get(conv) ?? '';
  }

  set(conv: number, text: string) {
    if (text === this.of(conv)) return;
    this.all.delete(conv);
    if (text) this.all.set(conv, text);
    const [oldest] = this.all.keys();
    if (this.all.size > MAX_DRAFTS && oldest !== undefined) this.all.delete(oldest);
    this.write();
  }

  /** The account has signed out. */
  forget() {
    this.all.clear();
    this.write();
  }

  private write() {
    const fitting: [number, string][] = [];
    let room = MAX_CHARS;
    for (const [conv, text] of [...this.all].reverse()) {
      if (text.length > room) continue;
      room -= text.length;
      fitting.unshift([conv, text]);
    }
    try {
      if (fitting.length) this.kept?.setItem(KEY + this.account, JSON.stringify(fitting));
      else this.kept?.removeItem(KEY + this.account);
    } catch {
      // A full or forbidden storage: they last as long as the page.
    }
  }
}

/** Forgets those of all accounts whose names begin so. */
export function forgetDrafts(prefix: string) {
  const kept = storage();
  const names = kept ? Object.keys(kept).filter((name) => name.startsWith(KEY + prefix)) : [];
  names.forEach((name) => kept?.removeItem(name));
}

function read(kept: Kept | undefined, name: string): Map<number, string> {
  try {
    const all = JSON.parse(kept?.getItem(name) ?? '[]') as [number, string][];
    return new Map(all.filter(([conv, text]) => typeof conv === 'number' && typeof text === 'string'));
  } catch {
    return new Map(); // somebody else's
  }
}

function storage(): Storage | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined; // the browser gives none
  }
}
