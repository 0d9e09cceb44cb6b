// Between the replica, the database and the session: what changed is written, what the replica asks for is sent, replies are
// handed back, and its next deadline is waited for.

import { type Init, make } from '../wire/codec';
import { type Body, Code, type Fetch, type Sync, type User } from '../wire/im.gen';

import { unhex } from './bytes';
import type { Database, Opened } from './database';
import { Reads } from './reads';
import { Replica, type Request } from './replica/replica';
import type { Reply, Session } from './session';

/** Files that messages bring along. */
export interface Files {
  /** A message was refused. Answers whether its file is uploaded once more, to be another message under the same id. */
  refused: (clientId: string, code: Code) => boolean;
  again: (clientId: string) => boolean;
  /** Messages have left. Answers which files go with them. */
  left: (clientIds: string[]) => string[];
}

export class Exchange {
  replica = new Replica(0);
  private session?: Session;
  /** What the hello asked for. */
  private asked?: Sync;
  private timer?: ReturnType<typeof setTimeout>;
  /** Conversations of which an older page is on its way. */
  private older = new Set<number>();
  private reads = new Reads();
  /** Another tab keeps the copy: what is known here is of before. */
  private yielded = false;

  constructor(
    private readonly database: Database,
    private readonly files: Files,
    private readonly changed: () => void,
  ) {}

  /** The copy of a user, as the database has it. */
  restore({ me, saved, reads }: Opened) {
    this.replica = me ? new Replica(me.id, saved) : new Replica(0);
    this.reads = new Reads(reads);
  }

  yield() {
    this.yielded = true;
  }

  /** After another tab had the session: what that one did is known here. */
  resume() {
    this.yielded = false;
    this.settle();
  }

  /** What a hello asks for: nothing, as long as nobody knows whose copy it will be. */
  hello(): Sync | undefined {
    this.asked = this.replica.me ? this.replica.connected() : undefined;
    return this.asked;
  }

  /** Who one is. `false`: somebody else than the copy is of, so that it begins anew. */
  welcome(me: User): boolean {
    if (me.id === this.replica.me) return true;
    if (this.replica.me) this.database.clear();
    this.replica = new Replica(me.id);
    this.reads = new Reads();
    this.asked = undefined;
    return false;
  }

  /** The reply to what the hello asked for. */
  greeted(reply: Reply) {
    if (!this.asked) return;
    this.takeSync(reply, { case: 'sync', value: this.asked });
    if (this.session) this.settle();
  }

  begin(session: Session) {
    this.session = session;
    if (!this.asked) this.sync({ case: 'sync', value: this.replica.connected() });
    this.reads.begin();
    this.settle();
  }

  cut() {
    this.session = undefined;
    this.replica.disconnected();
    this.reads.cut();
    this.older.clear();
  }

  stop() {
    clearTimeout(this.timer);
  }

  /** `false`: too much waits already. */
  send(clientId: string, conv: number, body: Init<Body>): boolean {
    const taken = this.replica.send(clientId, conv, make('Body', body), Date.now());
    this.settle();
    return taken;
  }

  /** Sends something again that was refused. A message whose file the server does not have is of no use without it. */
  retry(clientId: string) {
    const { progress } = this.replica.unsent(clientId) ?? {};
    const isForgotten = progress?.step === 'refused' && progress.code === Code.UNKNOWN_BLOB;
    if (isForgotten && this.files.again(clientId)) this.replica.discard(clientId);
    else this.replica.retry(clientId);
    this.settle();
  }

  /** The conversation is on the screen: everything up to its head is wanted. */
  show(conv: number) {
    this.replica.show(conv, now());
    this.settle();
  }

  /** What was shown up to here is read. */
  read(conv: number, seq: number) {
    if (this.yielded || !this.replica.markRead(conv, seq)) return;
    this.reads.push(conv, seq);
    this.settle();
  }

  /** The page above what is shown. */
  loadOlder(conv: number) {
    const fetch = this.older.has(conv) ? undefined : this.replica.older(conv);
    if (!fetch) return;
    this.older.add(conv);
    this.fetch(fetch, () => this.older.delete(conv));
  }

  /** Takes what the replica has to say: rows to the database, requests to the server, a timer for its next deadline. */
  settle() {
    const changes = this.replica.takeChanges();
    // Of the log it would be a row without its events, or one from before the other tab's.
    const done = this.files.left(changes.sent);
    if (this.yielded) this.database.writeOutgoing(changes, done);
    else this.database.write(changes, { reads: this.reads.takeChanged(), done });
    for (const request of this.session ? this.replica.takeRequests() : []) this.carry(request);
    this.tellReads();
    clearTimeout(this.timer);
    const deadline = Math.min(this.replica.deadline ?? Infinity, this.reads.deadline ?? Infinity);
    if (deadline !== Infinity) {
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
        else if (reply.case === 'error') {
          this.replica.refused(request, reply.value, now());
          if (this.files.refused(clientId, reply.value.code)) this.replica.discard(clientId);
        }
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

  private takeSync(reply: Reply, request: Request) {
    if (reply.case === 'syncReply') this.replica.syncReply(reply.value, now());
    else if (reply.case === 'error') this.replica.refused(request, reply.value, now());
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

  private tellReads() {
    const { session, reads } = this;
    if (!session) return;
    for (let read = reads.next(now()); read; read = reads.next(now())) {
      const told = read;
      const [conv, seq] = told;
      session.ask({ case: 'read', value: { conv, seq } }, (reply) => {
        reads.answered(told, reply.case === 'error' ? reply.value : undefined, now());
        this.settle();
        return true;
      });
    }
  }
}

const now = () => performance.now();
