// The chat of one account, as the page sees it: what is known, and what can be done. Whoever draws subscribes to it.
//
// Elsewhere: what may happen to the copy (`replica`), how it is kept in step (`exchange`), when there is a session (`connection`).

import { type Init, make } from '../wire/codec';
import { type Body, type Code, type Deliver, type Event, type Limits, type Member, type Settings, TypingKind, type User, type Welcome } from '../wire/im.gen';

import { type Account, deviceId } from './account';
import { randomId, unhex } from './bytes';
import { Calls } from './calls';
import { Connection, type Phase } from './connection';
import { Database, type Opened } from './database';
import { Drafts } from './drafts';
import { Exchange } from './exchange';
import { Hints } from './hints';
import { Links } from './links';
import { Uploads } from './outbox';
import { People } from './people';
import { Presence } from './presence';
import type { Conversation } from './replica/conversation';
import type { Replica } from './replica/replica';
import { Cut, type Reply, type Session } from './session';

const CLIENT = 'convene-web/1';
/** Members of one page, and most that are read: larger groups show counts without names. */
const MEMBERS_PAGE = 500;
/** Between two signs of typing. */
const TYPING_EVERY_MS = 4_000;
/** A sign of typing is over by then, if no other has come. */
const TYPED_MS = 6_500;
/** The page is drawn this often at most. */
const FRAME_MS = 16;

export class Client {
  me: User = make('User');
  limits: Limits = make('Limits');
  readonly people = new People();
  readonly hints = new Hints();
  readonly calls = new Calls();
  readonly uploads: Uploads;
  readonly links = new Links(this);
  readonly drafts: Drafts;
  /** Members of conversations that were opened. */
  readonly members = new Map<number, Member[]>();
  /** Something was not taken, as too much waits to be sent, and nobody has closed what says so. */
  full = false;
  private readonly exchange: Exchange;
  private readonly connection: Connection;
  private readonly presence = new Presence();
  private version = 0;
  private listeners = new Set<() => void>();
  private arrivals = new Set<(event: Event) => void>();
  private announcing?: ReturnType<typeof setTimeout>;
  private typedAt = -Infinity;

  private constructor(
    readonly account: Account,
    private readonly database: Database,
    opened: Opened,
  ) {
    this.uploads = new Uploads(this, database);
    this.exchange = new Exchange(database, this.uploads, this.changed);
    this.drafts = new Drafts(account.key);
    this.restore(opened);
    const { hello, greeted, began, push, lost, yielded, resumed, changed } = this;
    this.connection = new Connection(account, { hello, greeted, began, push, lost, yielded, resumed, changed });
  }

  private restore(opened: Opened) {
    const { me, users, uploads } = opened;
    this.me = me ?? make('User');
    this.exchange.restore(opened);
    this.people.learn(me ? [me, ...users] : users);
    this.uploads.restore(me ? uploads : [], ({ clientId }) => this.replica.unsent(clientId) !== undefined);
  }

  /** Shows what the database has, and connects. */
  static async start(account: Account): Promise<Client> {
    const database = await Database.open(account.key);
    return new Client(account, database, await database.read());
  }

  stop() {
    this.connection.stop();
    this.exchange.stop();
    this.uploads.pause();
    clearTimeout(this.announcing);
    this.database.close();
  }

  /** Signing out leaves nothing on this device. */
  async forget() {
    this.stop();
    this.drafts.forget();
    await this.database.remove();
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = () => this.version;

  /** Calls back for each event that the server pushes: what happens now, not what is caught up with. */
  onArrival = (listener: (event: Event) => void) => {
    this.arrivals.add(listener);
    return () => this.arrivals.delete(listener);
  };

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

  get phase(): Phase {
    return this.connection.phase;
  }

  /** Why it is over, in phase `signedOut`. */
  get endedBy(): Code {
    return this.connection.endedBy;
  }

  get isOnline(): boolean {
    return this.phase === 'online';
  }

  /** How the session runs, for who looks into it. */
  get transport(): string {
    return this.session?.kind ?? '';
  }

  get replica(): Replica {
    return this.exchange.replica;
  }

  private get session(): Session | undefined {
    return this.connection.session;
  }

  /** After another tab took over: back to this one, because somebody says so or writes here. That tab would not know of it. */
  takeOver() {
    this.connection.takeOver();
  }

  /** `false`: it was not taken, and whoever wrote it still has to have it. What says so is on the page. */
  send(conv: number, body: Init<Body>, clientId = randomId()): boolean {
    const taken = this.exchange.send(clientId, conv, body);
    this.full = !taken;
    this.takeOver();
    return taken;
  }

  dismissFull() {
    this.full = false;
    this.changed();
  }

  retry(clientId: string) {
    this.exchange.retry(clientId);
    this.takeOver();
  }

  discard(clientId: string) {
    this.replica.discard(clientId);
    this.exchange.settle();
    this.takeOver();
  }

  /** The conversation is on the screen: everything up to its head is wanted, and who is in it. */
  show(conv: number) {
    this.exchange.show(conv);
    if (!this.members.has(conv)) void this.loadMembers(conv);
  }

  /** What is shown of it are its newest messages. */
  atFoot(conv: number) {
    if (this.replica.atFoot(conv)) this.exchange.settle();
  }

  /** What was shown up to here is read. */
  read(conv: number, seq: number) {
    this.exchange.read(conv, seq);
  }

  /** The page above what is shown. */
  loadOlder(conv: number) {
    this.exchange.loadOlder(conv);
  }

  typing(conv: number, kind: TypingKind) {
    const at = performance.now();
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

  /** What a conversation is called. */
  titleOf(conversation: Conversation): string {
    const { title, peer } = conversation.state;
    return title || (peer ? this.people.name(peer) : 'Conversation');
  }

  private hello = () => ({
    version: 1,
    deviceId: deviceId(),
    client: CLIENT,
    org: this.account.company?.org.name,
    sync: this.exchange.hello(),
  });

  private greeted = (reply: Reply) => {
    if (reply.case === 'welcome') this.welcome(reply.value);
    else this.exchange.greeted(reply);
  };

  private welcome({ me = make('User'), limits = this.limits, nowMs }: Welcome) {
    // Before anything else comes: calls that are on are told right behind the welcome.
    this.calls.begin(nowMs);
    if (!this.exchange.welcome(me)) this.uploads.restore([], () => false);
    this.me = me;
    this.limits = limits;
    this.people.learn([me]);
    this.database.writeMe(me);
  }

  private began = (session: Session) => {
    this.people.forgetAsked();
    this.presence.begin();
    this.members.clear();
    this.exchange.begin(session);
    this.uploads.begin();
  };

  private push = (body: Reply) => {
    const at = performance.now();
    if (body.case === 'deliver') this.delivered(body.value, at);
    else if (body.case === 'callState') this.calls.take(body.value);
    else if (body.case === 'deliverUser') {
      this.replica.deliverUser(body.value, at);
      for (const { kind } of body.value.events) if (kind?.case === 'profile') this.learn([kind.value]);
    } else if (body.case === 'hint') {
      const { kind } = body.value;
      if (kind?.case === 'head') this.replica.head(kind.value);
      else if (kind?.case === 'profile') this.learn([kind.value]);
      else this.hints.take(body.value, at);
      if (kind?.case === 'typing') setTimeout(this.changed, TYPED_MS);
    }
    this.exchange.settle();
  };

  private delivered(deliver: Deliver, at: number) {
    this.replica.deliver(deliver, at);
    for (const event of deliver.events) {
      this.hints.spoke(event.conv, event.sender);
      // A sender has read what was there when they wrote.
      this.hints.read(event.conv, event.sender, event.seq);
      this.arrivals.forEach((listener) => listener(event));
      if (event.body?.kind?.case === 'members' && this.members.has(event.conv)) void this.loadMembers(event.conv);
    }
  }

  private lost = () => {
    this.exchange.cut();
    this.hints.cut();
    this.uploads.pause();
    this.changed();
  };

  private yielded = () => {
    this.exchange.yield();
    // What ends from here on would be sent from here, and so take the session back.
    this.uploads.pause();
  };

  /** What is on the screen stays there: it is drawn from what the other tab has left. */
  private resumed = async (isOver: () => boolean) => {
    const opened = await this.database.again();
    // The copy is another tab's again. What was read of it goes on changing there.
    if (isOver()) return;
    if (opened) this.restore(opened);
    this.exchange.resume();
  };

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
}
