// The chat of one account: keeps a session up, brings the replica and the database in step with it, and tells the page that
// something has changed. What may happen is decided in `replica`; here are the clock, the network and the disk.

import { type Init, make } from '../wire/codec';
import { type Body, Code, type Deliver, type Fetch, type Limits, type Member, type Settings, TypingKind, type User } from '../wire/im.gen';

import { type Account, deviceId, SignedOut } from './account';
import { randomId, unhex } from './bytes';
import { Calls } from './calls';
import { Database } from './database';
import { Hints } from './hints';
import { Backoff } from './link/backoff';
import { forgetUdpFailure } from './link/link';
import { People } from './people';
import { Presence } from './presence';
import type { Conversation } from './replica/conversation';
import { Replica, type Request } from './replica/replica';
import { Cut, Refused, type Reply, Session } from './session';
import { Uploads } from './outbox';
import { Links } from './links';

export type Phase =
  | 'connecting'
  | 'online'
  /** Another tab or window of this browser has taken over. */
  | 'replaced'
  /** Sign in again. */
  | 'signedOut';

const CLIENT = 'convene-web/1';
/** After these it is of no use to connect again. */
const FINAL: readonly Code[] = [Code.REVOKED, Code.UNSUPPORTED_VERSION, Code.NO_SEAT];
/** Members of one page, and most that are read: larger groups show counts without names. */
const MEMBERS_PAGE = 500;
/** Between two signs of typing. */
const TYPING_EVERY_MS = 4_000;
/** The page is drawn this often at most. */
const FRAME_MS = 16;

export class Client {
  phase: Phase = 'connecting';
  /** Why it is over, in phase `signedOut`. */
  endedBy = Code.UNSPECIFIED;
  me: User = make('User');
  limits: Limits = make('Limits');
  readonly people = new People();
  readonly hints = new Hints();
  readonly uploads: Uploads;
  readonly links: Links;
  /** Members of conversations that were opened. */
  readonly members = new Map<number, Member[]>();
  readonly calls = new Calls();
  replica = new Replica(0);
  private session?: Session;
  private version = 0;
  private listeners = new Set<() => void>();
  private stopped = false;
  private running = Promise.resolve();
  private wake: () => void = () => undefined;
  private timer?: ReturnType<typeof setTimeout>;
  private announcing?: ReturnType<typeof setTimeout>;
  private reads = new Map<number, number>();
  private presence = new Presence();
  private typedAt = -Infinity;
  private older = new Set<number>();
  /** Other tabs of this browser: one installation has one session, and the tab that was opened last has it. */
  private tabs = new BroadcastChannel('convene.chat');

  private constructor(
    readonly account: Account,
    private readonly database: Database,
  ) {
    this.uploads = new Uploads(this, database);
    this.links = new Links(this);
  }

  /** Shows what the database has, and connects. */
  static async start(account: Account): Promise<Client> {
    const database = await Database.open(account.key);
    const client = new Client(account, database);
    const { me, saved, users, uploads } = await database.read();
    if (me) {
      client.me = me;
      client.replica = new Replica(me.id, saved);
      client.people.learn([me, ...users]);
      client.uploads.restore(uploads);
    }
    window.addEventListener('online', client.networkIsBack);
    window.addEventListener('offline', client.networkIsGone);
    document.addEventListener('visibilitychange', client.looked);
    client.tabs.onmessage = ({ data }) => client.yield(data);
    client.tabs.postMessage(account.key);
    client.running = client.keep();
    return client;
  }

  stop() {
    this.stopped = true;
    this.tabs.close();
    window.removeEventListener('online', this.networkIsBack);
    window.removeEventListener('offline', this.networkIsGone);
    document.removeEventListener('visibilitychange', this.looked);
    clearTimeout(this.timer);
    clearTimeout(this.announcing);
    this.uploads.pause();
    this.session?.close();
    this.wake();
    this.database.close();
  }

  /** Signing out leaves nothing on this device. */
  async forget() {
    this.stop();
    await this.database.remove();
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = () => this.version;

  /** Something to show has changed. Told once for all that happens within a frame: one message is several changes. */
  changed = () => {
    this.announcing ??= setTimeout(() => {
      this.announcing = undefined;
      this.version += 1;
      this.listeners.forEach((listener) => listener());
      this.askForNames();
      this.watchPresence();
    }, FRAME_MS);
  };

  /** How the session runs, for who looks into it. */
  get transport(): string {
    return this.session?.kind ?? '';
  }

  get isOnline(): boolean {
    return this.phase === 'online';
  }

  /** After another tab took over: back to this one. */
  takeOver() {
    if (this.phase !== 'replaced') return;
    this.phase = 'connecting';
    this.tabs.postMessage(this.account.key);
    // One that has not ended yet goes on.
    this.running = this.running.then(() => this.keep());
    this.changed();
  }

  /** Another tab takes over. The server says so too, but its word may be lost with the connection. */
  private yield(account: unknown) {
    if (account !== this.account.key || this.phase === 'signedOut') return;
    this.phase = 'replaced';
    this.session?.close();
    this.wake();
    this.changed();
  }

  send(conv: number, body: Init<Body>, clientId = randomId()) {
    this.replica.send(clientId, conv, make('Body', body), Date.now());
    this.settle();
  }

  retry(clientId: string) {
    this.replica.retry(clientId);
    this.settle();
  }

  discard(clientId: string) {
    this.replica.discard(clientId);
    this.settle();
  }

  /** The conversation is on the screen: everything up to its head is wanted, and who is in it. */
  show(conv: number) {
    this.replica.show(conv, now());
    this.settle();
    if (!this.members.has(conv)) void this.loadMembers(conv);
  }

  /** What is shown of it are its newest messages. */
  atFoot(conv: number) {
    if (this.replica.atFoot(conv)) this.settle();
  }

  /** What was shown up to here is read. */
  read(conv: number, seq: number) {
    if (!this.replica.markRead(conv, seq)) return;
    this.reads.set(conv, seq);
    this.tellReads();
    this.settle();
  }

  /** The page above what is shown. */
  loadOlder(conv: number) {
    const fetch = this.older.has(conv) ? undefined : this.replica.older(conv);
    if (!fetch) return;
    this.older.add(conv);
    this.fetch(fetch, () => this.older.delete(conv));
  }

  typing(conv: number, kind: TypingKind) {
    const at = now();
    if (kind !== TypingKind.STOPPED && at - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = kind === TypingKind.STOPPED ? -Infinity : at;
    this.session?.hint({ kind: { case: 'typing', value: { conv, kind } } });
  }

  /** A request of the page's own. Rejects with `Refused`, or `Cut` where there is no connection. */
  request: Session['request'] = (body, wanted) => {
    if (!this.session || !this.isOnline) return Promise.reject(new Cut('there is no connection'));
    return this.session.request(body, wanted);
  };

  async createDirect(user: number): Promise<number> {
    const clientId = unhex(randomId());
    return (await this.request({ case: 'create', value: { clientId, kind: 1, members: [user] } }, 'created')).conv;
  }

  async createGroup(title: string, members: number[]): Promise<number> {
    const clientId = unhex(randomId());
    return (await this.request({ case: 'create', value: { clientId, kind: 2, title, members } }, 'created')).conv;
  }

  async findByName(names: string[]): Promise<User[]> {
    const { users } = await this.request({ case: 'findUsers', value: { names } }, 'users');
    this.learn(users);
    return users;
  }

  async change(settings: Settings) {
    await this.request({ case: 'changeSettings', value: { settings } }, 'done');
  }

  learn(users: User[]) {
    this.people.learn(users);
    this.database.writeUsers(users);
    this.changed();
  }

  /** Besides those of conversations, these people are on the screen: whether they are there is to be shown. */
  glance(users: readonly number[]) {
    this.presence.glance(users);
    this.changed();
  }

  async loadMembers(conv: number) {
    try {
      const value = { conv, limit: MEMBERS_PAGE };
      const { members } = await this.request({ case: 'getMembers', value }, 'membersPage');
      this.members.set(conv, members);
      for (const member of members) this.hints.read(conv, member.user, member.readSeq);
      this.changed();
    } catch {
      // Asked for again when it is next shown.
    }
  }

  /** Takes what the replica has to say: rows to the database, requests to the server, a timer for its next deadline. */
  settle() {
    this.database.write(this.replica.takeChanges());
    for (const request of this.session ? this.replica.takeRequests() : []) this.carry(request);
    clearTimeout(this.timer);
    const { deadline } = this.replica;
    if (deadline !== undefined) {
      this.timer = setTimeout(() => {
        this.replica.timeout(now());
        this.settle();
      }, Math.max(0, deadline - now()) + 1);
    }
    this.changed();
  }

  private carry(request: Request) {
    if (request.case === 'fetch') this.fetch(request.value, () => undefined, request);
    else if (request.case === 'sync') this.sync(request);
    else {
      const { clientId, conv, body } = request.value;
      this.session?.ask({ case: 'send', value: { clientId: unhex(clientId), conv, body } }, (reply) => {
        if (reply.case === 'ack') this.replica.ack(clientId, reply.value, now());
        else if (reply.case === 'error') this.replica.refused(request, reply.value, now());
        this.settle();
        return true;
      });
    }
  }

  private sync(request: Request & { case: 'sync' }) {
    this.session?.ask({ case: 'sync', value: request.value }, (reply) => {
      this.takeSync(reply, request);
      this.settle();
      return !(reply.case === 'syncReply' && reply.value.more);
    });
  }

  private fetch(value: Fetch, done: () => void, request: Request = { case: 'fetch', value }) {
    this.session?.ask({ case: 'fetch', value }, (reply) => {
      done();
      if (reply.case === 'fetchReply') this.replica.page(reply.value, now());
      else if (reply.case === 'error') this.replica.refused(request, reply.value, now());
      this.settle();
      return true;
    }, done);
  }

  private takeSync(reply: Reply, request: Request) {
    if (reply.case === 'syncReply') this.replica.syncReply(reply.value, now());
    else if (reply.case === 'error') this.replica.refused(request, reply.value, now());
  }

  /** Connects, again and again, until it is of no use. */
  private async keep() {
    const backoff = new Backoff();
    let stale: string | undefined;
    while (!this.stopped && this.phase !== 'replaced' && this.phase !== 'signedOut') {
      let again = 0;
      // Whatever `navigator.onLine` says: it is wrong where the server runs on this machine, and on some networks.
      try {
        const token: string = await this.account.token(stale);
        stale = undefined;
        again = await this.converse(token, () => backoff.reset());
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
      if (this.phase === 'connecting' && !this.stopped) await this.pause(backoff.next(Math.random(), again));
    }
  }

  /** One session, from hello to its end. Answers how long the server wants to be left alone. */
  private async converse(token: string, welcomed: () => void): Promise<number> {
    const known = this.me.id !== 0;
    let retryAfterMs = 0;
    const push = (body: Reply) => {
      if (body.case === 'goodbye') {
        retryAfterMs = body.value.retryAfterMs;
        this.told(body.value.code);
      } else if (body.case === 'error') {
        this.told(body.value.code);
      } else {
        this.push(body);
      }
    };
    const hello = { version: 1, token, deviceId: deviceId(), client: CLIENT, org: this.account.company?.org.name, sync: known ? this.replica.connected() : undefined };
    let synced = known;
    const session = await Session.begin(hello, push, (reply) => {
      if (reply.case === 'welcome') {
        synced = this.welcome(reply.value.me ?? make('User'), known);
        this.limits = reply.value.limits ?? this.limits;
      } else if (synced && hello.sync) {
        this.takeSync(reply, { case: 'sync', value: hello.sync });
        if (this.session) this.settle();
      }
    });
    if (this.stopped || this.phase === 'replaced') {
      session.close();
      return 0;
    }
    this.session = session;
    this.phase = 'online';
    this.people.forgetAsked();
    this.presence.begin();
    this.members.clear();
    this.calls.begin();
    welcomed();
    if (!synced) this.sync({ case: 'sync', value: this.replica.connected() });
    this.tellReads();
    this.settle();
    this.uploads.resume();
    this.told(await session.over);
    return retryAfterMs;
  }

  /** Who one is. `false`: somebody else than the copy is of, so that it begins anew. */
  private welcome(me: User, known: boolean): boolean {
    const same = known && me.id === this.me.id;
    if (!same) {
      if (known) this.database.clear();
      this.replica = new Replica(me.id);
      this.uploads.restore([]);
    }
    this.me = me;
    this.people.learn([me]);
    this.database.writeMe(me);
    return same;
  }

  private push(body: Reply) {
    const at = now();
    if (body.case === 'deliver') {
      this.delivered(body.value);
    } else if (body.case === 'deliverUser') {
      this.replica.deliverUser(body.value, at);
      for (const { kind } of body.value.events) if (kind?.case === 'profile') this.learn([kind.value]);
    } else if (body.case === 'callState') {
      this.calls.take(body.value);
    } else if (body.case === 'hint') {
      if (body.value.kind?.case === 'head') this.replica.head(body.value.kind.value);
      else if (body.value.kind?.case === 'profile') this.learn([body.value.kind.value]);
      else this.hints.take(body.value, at);
      if (body.value.kind?.case === 'typing') setTimeout(this.changed, 6_500);
    }
    this.settle();
  }

  /** Why the session ends, if that says more than to connect again. */
  private told(code: Code) {
    if (this.phase !== 'online') return;
    if (code === Code.REPLACED) this.phase = 'replaced';
    else if (FINAL.includes(code)) this.end(code);
  }

  private end(code: Code) {
    this.phase = 'signedOut';
    this.endedBy = code;
  }

  private delivered(deliver: Deliver) {
    this.replica.deliver(deliver, now());
    for (const event of deliver.events) {
      this.hints.spoke(event.conv, event.sender);
      // A sender has read what was there when they wrote.
      this.hints.read(event.conv, event.sender, event.seq);
      if (event.body?.kind?.case === 'members' && this.members.has(event.conv)) void this.loadMembers(event.conv);
    }
  }

  private lost() {
    this.session?.close();
    this.session = undefined;
    this.replica.disconnected();
    this.hints.cut();
    this.older.clear();
    this.uploads.pause();
    if (this.phase === 'online') this.phase = 'connecting';
    this.changed();
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
    this.changed();
  };

  private networkIsGone = () => {
    this.session?.close();
    this.changed();
  };

  private looked = () => {
    if (document.visibilityState !== 'visible') return;
    this.session?.probe();
    this.wake();
  };

  private tellReads() {
    for (const [conv, seq] of this.reads) {
      this.session?.ask({ case: 'read', value: { conv, seq } }, () => {
        if (this.reads.get(conv) === seq) this.reads.delete(conv);
        return true;
      });
    }
  }

  private askForNames() {
    const ids = this.isOnline ? this.people.take() : [];
    if (!ids.length) return;
    this.session?.ask({ case: 'findUsers', value: { ids } }, (reply) => {
      if (reply.case === 'users') this.learn(reply.value.users);
      return true;
    });
  }

  /** The other sides of direct conversations, most recently used first. */
  private watchPresence() {
    if (!this.isOnline) return;
    const peers = this.replica.conversations().map(({ state }) => state.peer);
    const others = [...this.members.values()].flat().map((member) => member.user);
    const users = this.presence.next(this.me.id, peers, others);
    if (users) this.session?.ask({ case: 'watchPresence', value: { users } }, () => true);
  }

  /** What a conversation is called. */
  titleOf(conversation: Conversation): string {
    const { title, peer } = conversation.state;
    return title || (peer ? this.people.name(peer) : 'Conversation');
  }
}

const now = () => performance.now();
