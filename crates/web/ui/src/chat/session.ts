// One signed-in connection: requests find their replies, pushes go to their taker, silence ends it.

import { encode, type Init } from '../wire/codec';
import type { Error as Refusal, Frame, Hello, Hint } from '../wire/im.gen';

import { type Link, noteUdpFailure, openLink } from './link/link';

/** A server that was not heard of for so long is asked whether it is there. Less often costs, more often drains phones. */
const PING_AFTER_MS = 20_000;
/** A request without an answer for so long means that the way is cut. Above the worst round trip, below people's patience. */
const SILENCE_MS = 8_000;
const TICK_MS = 1_000;

export type Reply = NonNullable<Frame['body']>;
export type Asked = NonNullable<Init<Frame>['body']>;
type Replies = { [R in Reply as R['case']]: R['value'] };

export class Refused extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.text);
  }
}

/** The connection ended before the answer came. */
export class Cut extends Error {}

interface Open {
  /** Answers whether the reply is whole. */
  take: (reply: Reply) => boolean;
  cut: () => void;
}

export class Session {
  private open = new Map<number, Open>();
  private nextRid = 1;
  private heard = performance.now();
  private posted = performance.now();

  private constructor(
    private readonly link: Link,
    private readonly push: (body: Reply) => void,
  ) {}

  /** Connects and says hello; `welcomed` takes Welcome, and then the reply to `hello.sync`. Once it `isOver` no hello is said:
   * the server would end a later session of this device for it. */
  static async begin(hello: Init<Hello>, push: (body: Reply) => void, welcomed: (reply: Reply) => void, isOver: () => boolean): Promise<Session> {
    let session: Session | undefined;
    const link = await openLink((frame) => session?.take(frame));
    if (isOver()) {
      link.close();
      throw new Cut('the session is not wanted any more');
    }
    session = new Session(link, push);
    const begun = session;
    const timer = setInterval(() => begun.tick(), TICK_MS);
    void link.over.then(() => {
      clearInterval(timer);
      begun.ended();
    });
    try {
      await new Promise<void>((resolve, reject) => {
        let open = false;
        const take = (reply: Reply) => {
          if (!open && reply.case === 'error') {
            reject(new Refused(reply.value));
            return true;
          }
          welcomed(reply);
          if (reply.case !== 'welcome') return !(reply.case === 'syncReply' && reply.value.more);
          open = true;
          resolve();
          return !hello.sync;
        };
        begun.ask({ case: 'hello', value: hello }, take, () => reject(new Cut('the connection ended before the welcome')));
      });
    } catch (error) {
      link.close();
      throw error;
    }
    return begun;
  }

  get kind(): Link['kind'] {
    return this.link.kind;
  }

  get over(): Promise<number> {
    return this.link.over;
  }

  close() {
    this.link.close();
  }

  hint(hint: Init<Hint>) {
    this.link.hint(encode('Frame', { body: { case: 'hint', value: hint } }));
  }

  /** Sends a request; `take` gets each frame of the reply and says whether it was the last. */
  ask(body: Asked, take: (reply: Reply) => boolean, cut: () => void = () => undefined) {
    const rid = this.nextRid;
    this.nextRid += 1;
    this.open.set(rid, { take, cut });
    this.posted = performance.now();
    const frame = encode('Frame', { rid, body });
    if (body.case === 'fetch') this.link.bulk(frame);
    else this.link.post(frame);
  }

  /** A request with one frame of reply. */
  request<C extends keyof Replies>(body: Asked, wanted: C): Promise<Replies[C]> {
    return new Promise((resolve, reject) => {
      this.ask(body, (reply) => {
        if (reply.case === wanted) resolve(reply.value as Replies[C]);
        else if (reply.case === 'error') reject(new Refused(reply.value));
        else reject(new Error(`${reply.case} is no answer to ${body.case}`));
        return true;
      }, () => reject(new Cut('the connection ended')));
    });
  }

  /** Whether the way still carries: asks now instead of at the next tick. */
  probe() {
    this.ask({ case: 'ping', value: {} }, () => true);
  }

  private take({ rid, body }: Frame) {
    this.heard = performance.now();
    if (!body) return;
    const open = this.open.get(rid);
    if (open) {
      if (open.take(body)) this.open.delete(rid);
      return;
    }
    this.push(body);
  }

  private tick() {
    const now = performance.now();
    const quiet = now - Math.max(this.heard, this.posted);
    if (this.open.size && now - this.heard > SILENCE_MS && quiet > SILENCE_MS) {
      if (this.link.kind === 'webtransport') noteUdpFailure();
      this.link.close();
    } else if (quiet > PING_AFTER_MS) {
      this.probe();
    }
  }

  private ended() {
    const open = [...this.open.values()];
    this.open.clear();
    open.forEach((one) => one.cut());
  }
}
