// Which tab of this browser has the session: one installation has one, and the tab that was opened last has it, or
// one that somebody writes in. When that one is gone, another goes on.
//
// A lock says whose it is: the browser takes it back from a tab that was closed or has crashed. Insecure addresses have no
// locks: there tabs tell each other, as long as they can.

/** A tab that is reloaded is back by then, and takes its session again: no other one connects for nothing. */
const LEAST_MS = 1_000;
/** Spread over as much again, so that tabs which only hear of each other do not all go on at once. */
const SPREAD_MS = 1_000;

export interface Owner {
  /** Another tab has it. */
  taken: () => void;
  /** It is nobody's: this tab is to go on. */
  free: () => void;
}

export interface Tabs {
  /** It is this tab's, whoever had it. */
  take: () => void;
  stop: () => void;
}

export function tabsOf(account: string, owner: Owner): Tabs {
  const locks = navigator.locks as LockManager | undefined;
  return locks ? new Locked(locks, `convene.chat ${account}`, owner) : new Told(account, owner);
}

const later = (work: () => void) => setTimeout(work, LEAST_MS + Math.random() * SPREAD_MS);

class Locked implements Tabs {
  /** Counts what was asked for: how an earlier request ends is of no interest. */
  private turn = 0;
  private letGo: () => void = () => undefined;

  constructor(
    private readonly locks: LockManager,
    private readonly name: string,
    private readonly owner: Owner,
  ) {}

  take() {
    this.hold({ steal: true });
  }

  stop() {
    this.turn += 1;
    this.letGo();
  }

  private wait() {
    const asked = new AbortController();
    this.hold({ signal: asked.signal }, this.owner.free);
    this.letGo = () => asked.abort();
  }

  /** Asks for the lock, and has it until it is stolen or let go of. */
  private hold(options: LockOptions, free?: () => void) {
    this.stop();
    const { turn } = this;
    const isOver = () => turn !== this.turn;
    const held = () =>
      new Promise<void>((letGo) => {
        if (isOver()) return letGo();
        this.letGo = letGo;
        if (free) later(() => isOver() || free());
        return undefined;
      });
    this.locks.request(this.name, options, held).catch((error: unknown) => {
      // Of anything but a theft nobody knows what follows: the server tells then.
      if (isOver() || !(error instanceof DOMException) || error.name !== 'AbortError') return;
      this.owner.taken();
      this.wait();
    });
  }
}

class Told implements Tabs {
  private readonly channel = new BroadcastChannel('convene.chat');
  private has = false;
  private timer?: ReturnType<typeof setTimeout>;

  constructor(
    private readonly account: string,
    private readonly owner: Owner,
  ) {
    this.channel.onmessage = ({ data }) => this.heard(data as { account?: string; taken?: boolean });
    window.addEventListener('pagehide', this.leave);
  }

  take() {
    clearTimeout(this.timer);
    this.has = true;
    this.channel.postMessage({ account: this.account, taken: true });
  }

  stop() {
    this.leave();
    clearTimeout(this.timer);
    window.removeEventListener('pagehide', this.leave);
    this.channel.close();
  }

  private leave = () => {
    if (this.has) this.channel.postMessage({ account: this.account, taken: false });
    this.has = false;
  };

  private heard({ account, taken }: { account?: string; taken?: boolean }) {
    if (account !== this.account) return;
    clearTimeout(this.timer);
    if (!taken) {
      this.timer = later(this.owner.free);
      return;
    }
    this.has = false;
    this.owner.taken();
  }
}
