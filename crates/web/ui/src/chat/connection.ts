// When there is to be a session with the server, and when not: it connects again and again, with growing pauses, until that is
// of no use any more or another tab of this browser has taken over. What is said in a session is its owner's to know.

import type { Init } from '../wire/codec';
import { Code, type Hello } from '../wire/im.gen';

import { type Account, SignedOut } from './account';
import { Backoff } from './link/backoff';
import { forgetUdpFailure } from './link/link';
import { Refused, type Reply, Session } from './session';
import { type Tabs, tabsOf } from './tabs';

export type Phase =
  | 'connecting'
  | 'online'
  /** Another tab or window of this browser has taken over. */
  | 'replaced'
  /** Sign in again. */
  | 'signedOut';

/** After these it is of no use to connect again. */
const FINAL: readonly Code[] = [Code.REVOKED, Code.UNSUPPORTED_VERSION, Code.NO_SEAT];

/** Whose sessions they are. */
export interface Owner {
  /** What a session begins with, but for the token. */
  hello: () => Init<Hello>;
  /** The welcome, and then the reply to the hello's sync. */
  greeted: (reply: Reply) => void;
  began: (session: Session) => void;
  push: (body: Reply) => void;
  /** The session, if there was one, is gone. */
  lost: () => void;
  /** Another tab has the session, and keeps the copy from here on. */
  yielded: () => void;
  /** This tab is to go on, with the copy as the other one has left it. `isOver`: another one has taken over meanwhile. */
  resumed: (isOver: () => boolean) => Promise<void>;
  /** The phase is another one. */
  changed: () => void;
}

export class Connection {
  phase: Phase = 'connecting';
  /** Why it is over, in phase `signedOut`. */
  endedBy = Code.UNSPECIFIED;
  session?: Session;
  private stopped = false;
  /** Counts the times that another tab took over: what was under way before has ended, whoever goes on. */
  private turn = 0;
  private running: Promise<void>;
  private wake: () => void = () => undefined;
  private tabs: Tabs;

  constructor(
    private readonly account: Account,
    private readonly owner: Owner,
  ) {
    window.addEventListener('online', this.networkIsBack);
    window.addEventListener('offline', this.networkIsGone);
    document.addEventListener('visibilitychange', this.looked);
    this.tabs = tabsOf(account.key, { taken: () => this.yield(), free: () => this.takeOver() });
    this.tabs.take();
    this.running = this.keep(this.turn);
  }

  stop() {
    this.stopped = true;
    this.tabs.stop();
    window.removeEventListener('online', this.networkIsBack);
    window.removeEventListener('offline', this.networkIsGone);
    document.removeEventListener('visibilitychange', this.looked);
    this.session?.close();
    this.wake();
  }

  /** After another tab took over: back to this one, because somebody wants to or because that one is gone. */
  takeOver() {
    if (this.stopped || this.phase !== 'replaced') return;
    const { turn } = this;
    this.phase = 'connecting';
    this.tabs.take();
    this.running = this.running.then(() => this.goOn(turn));
    this.owner.changed();
  }

  private async goOn(turn: number) {
    const isOver = () => this.isOver(turn);
    if (!isOver()) await this.owner.resumed(isOver);
    await this.keep(turn);
  }

  private isOver(turn: number): boolean {
    return this.stopped || turn !== this.turn;
  }

  /** Another tab takes over. The server says so too, but its word may be lost with the connection. */
  private yield() {
    if (this.phase === 'signedOut') return;
    this.replaced();
    this.session?.close();
    this.wake();
    this.owner.changed();
  }

  private replaced() {
    this.phase = 'replaced';
    this.turn += 1;
    this.owner.yielded();
  }

  /** Connects, again and again, until it is of no use. */
  private async keep(turn: number) {
    const backoff = new Backoff();
    let stale: string | undefined;
    while (!this.isOver(turn) && this.phase !== 'signedOut') {
      let again = 0;
      // Whatever `navigator.onLine` says: it is wrong where the server runs on this machine, and on some networks.
      try {
        const token: string = await this.account.token(stale);
        if (this.isOver(turn)) break;
        stale = undefined;
        again = await this.converse(token, turn, () => backoff.reset());
      } catch (error) {
        if (error instanceof SignedOut) this.end(Code.UNAUTHENTICATED);
        else if (error instanceof Refused) {
          const { code, retryAfterMs } = error.refusal;
          if (FINAL.includes(code)) this.end(code);
          if (code === Code.UNAUTHENTICATED) stale = await this.account.token().catch(() => undefined);
          again = retryAfterMs;
        }
      }
      this.lost();
      if (this.phase === 'connecting' && !this.isOver(turn)) await this.pause(backoff.next(Math.random(), again));
    }
  }

  /** One session, from hello to its end. Answers how long the server wants to be left alone. */
  private async converse(token: string, turn: number, welcomed: () => void): Promise<number> {
    let retryAfterMs = 0;
    const isOver = () => this.isOver(turn);
    const push = (body: Reply) => {
      if (isOver()) return;
      if (body.case === 'goodbye') retryAfterMs = body.value.retryAfterMs;
      if (body.case === 'goodbye' || body.case === 'error') this.told(body.value.code);
      else this.owner.push(body);
    };
    const greeted = (reply: Reply) => {
      if (!isOver()) this.owner.greeted(reply);
    };
    const session = await Session.begin({ ...this.owner.hello(), token }, push, greeted, isOver);
    if (isOver()) {
      session.close();
      return 0;
    }
    this.session = session;
    this.phase = 'online';
    welcomed();
    this.owner.began(session);
    const code = await session.over;
    if (!isOver()) this.told(code);
    return retryAfterMs;
  }

  /** Why the session ends, if that says more than to connect again. */
  private told(code: Code) {
    if (this.phase !== 'online') return;
    if (code === Code.REPLACED) this.replaced();
    else if (FINAL.includes(code)) this.end(code);
  }

  private end(code: Code) {
    this.phase = 'signedOut';
    this.endedBy = code;
  }

  private lost() {
    this.session?.close();
    this.session = undefined;
    if (this.phase === 'online') this.phase = 'connecting';
    this.owner.lost();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private networkIsBack = () => {
    forgetUdpFailure();
    this.wake();
    this.owner.changed();
  };

  private networkIsGone = () => {
    this.session?.close();
    this.owner.changed();
  };

  private looked = () => {
    if (document.visibilityState !== 'visible') return;
    this.session?.probe();
    this.wake();
  };
}
