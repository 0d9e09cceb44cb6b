// The copy in the browser's database: one database for each account, written as the replica says, one transaction for all
// that one frame changed. Where a browser gives none (private windows of some), chat works without a copy. One that could not
// be written to, as on a full disk, is given up: the page goes on, and makes a new one when it is loaded again.

import type { User } from '../wire/im.gen';
import type { Event } from '../wire/im.gen';

import type { Read } from './reads';
import type { Row } from './replica/conversation';
import type { Changes, Saved } from './replica/replica';
import type { Outgoing } from './replica/sends';
import type { Upload } from './uploads';

const VERSION = 1;

export interface Opened {
  me?: User;
  saved: Saved;
  users: User[];
  uploads: Upload[];
  /** What was read and the server has not confirmed. */
  reads: Read[];
}

/** What is written in the same moment as changes of the replica. */
export interface Beside {
  /** All that was read and is not confirmed, if that is something else than before. */
  reads?: Read[];
  /** Files whose messages have left. */
  done: string[];
}

type Store = (name: string) => IDBObjectStore;

export class Database {
  /** The copy was given up. */
  private over = false;
  private closed = false;
  private db?: IDBDatabase;
  /** Counts what was written. */
  private written = 0;
  /** Something that the user did is known to the page alone. It stays so: nobody counts what of it has been done since. */
  private incomplete = false;

  private constructor(private readonly name: string) {}

  static async open(account: string): Promise<Database> {
    const database = new Database(`convene:${account}`);
    await database.connect();
    return database;
  }

  private async connect() {
    try {
      const request = indexedDB.open(this.name, VERSION);
      request.onupgradeneeded = () => {
        const { result } = request;
        result.createObjectStore('about');
        result.createObjectStore('rows', { keyPath: 'conv' });
        result.createObjectStore('events', { keyPath: ['conv', 'seq'] });
        result.createObjectStore('outgoing', { keyPath: 'clientId' });
        result.createObjectStore('uploads', { keyPath: 'clientId' });
        result.createObjectStore('users', { keyPath: 'id' });
      };
      this.db = await answer(request);
      // Another tab signs out: held on to, the copy would stay, and the next sign-in would wait for it.
      this.db.onversionchange = this.db.onclose = () => this.letGo();
      if (this.closed) this.letGo();
    } catch {
      this.db = undefined;
    }
  }

  /** The copy as another tab has left it. `undefined`: there is none, or something of this page never got there, so that what
   * the page knows is all there is. */
  async again(): Promise<Opened | undefined> {
    if (!this.db) await this.connect();
    for (;;) {
      const { written } = this;
      const opened = this.db && (await this.read().catch(() => undefined));
      // What the user did meanwhile is not in it.
      if (opened && written !== this.written) continue;
      this.over = !opened || this.incomplete;
      return this.over ? undefined : opened;
    }
  }

  async read(): Promise<Opened> {
    const empty = { saved: { position: { useq: 0, bump: 0 }, rows: [], events: [], outgoing: [] }, users: [], uploads: [], reads: [] };
    if (!this.db) return empty;
    const transaction = this.db.transaction(['about', 'rows', 'events', 'outgoing', 'users', 'uploads']);
    const all = <T>(store: string) => answer(transaction.objectStore(store).getAll() as IDBRequest<T[]>);
    const [me, position, reads, rows, events, outgoing, users, uploads] = await Promise.all([
      answer(transaction.objectStore('about').get('me') as IDBRequest<User | undefined>),
      answer(transaction.objectStore('about').get('position') as IDBRequest<Saved['position'] | undefined>),
      answer(transaction.objectStore('about').get('reads') as IDBRequest<Read[] | undefined>),
      all<Row>('rows'),
      all<Event>('events'),
      all<Outgoing>('outgoing'),
      all<User>('users'),
      all<Upload>('uploads'),
    ]);
    return { me, saved: { position: position ?? empty.saved.position, rows, events, outgoing }, users, uploads, reads: reads ?? [] };
  }

  write(changes: Changes, { reads, done }: Beside) {
    const { events, rows, hidden, forgotten, outgoing, sent, position } = changes;
    const count = events.length + rows.length + hidden.length + forgotten.length + outgoing.length + sent.length;
    if (!count && !position && !reads) return;
    if (this.over) {
      this.giveUp(changes, { reads, done });
      return;
    }
    const write = (store: Store) => {
      for (const { conv, floor } of hidden) store('events').delete(IDBKeyRange.bound([conv, 0], [conv, floor]));
      for (const conv of forgotten) {
        store('rows').delete(conv);
        store('events').delete(IDBKeyRange.bound([conv, 0], [conv, Infinity]));
      }
      events.forEach((event) => store('events').put(event));
      rows.forEach((row) => store('rows').put(row));
      writeOutgoing(store, changes, done);
      if (position) store('about').put(position, 'position');
      if (reads) store('about').put(reads, 'reads');
    };
    this.change(['about', 'rows', 'events', ...outbox(done)], write, () => this.giveUp(changes, { reads, done }));
  }

  /** What the user has written, in a tab that another one keeps the copy for. */
  writeOutgoing(changes: Changes, done: string[]) {
    if (changes.outgoing.length + changes.sent.length) this.change(outbox(done), (store) => writeOutgoing(store, changes, done));
  }

  writeMe(me: User) {
    this.change(['about'], (store) => store('about').put(me, 'me'));
  }

  writeUsers(users: User[]) {
    // Whoever is missing is asked for again.
    this.change(['users'], (store) => users.forEach((user) => store('users').put(user)), () => undefined);
  }

  writeUpload(upload: Upload) {
    this.change(['uploads'], (store) => store('uploads').put(upload));
  }

  dropUpload(clientId: string) {
    this.change(['uploads'], (store) => store('uploads').delete(clientId));
  }

  /** The account is another one under the same name, as on a server that was made anew. */
  clear() {
    const stores = ['about', 'rows', 'events', 'outgoing', 'uploads', 'users'];
    this.change(stores, (store) => stores.forEach((name) => store(name).clear()));
  }

  close() {
    this.closed = true;
    this.letGo();
  }

  private letGo() {
    this.db?.close();
    this.db = undefined;
  }

  /** Signing out leaves nothing behind. */
  async remove() {
    const { db } = this;
    this.close();
    if (db) await answer(indexedDB.deleteDatabase(this.name)).catch(() => undefined);
  }

  /** Removes all copies whose names begin so, where the browser tells which there are. */
  static async removeAll(prefix: string) {
    const all = await indexedDB.databases?.().catch(() => []);
    const names = (all ?? []).map(({ name = '' }) => name).filter((name) => name.startsWith(`convene:${prefix}`));
    await Promise.all(names.map((name) => answer(indexedDB.deleteDatabase(name)).catch(() => undefined)));
  }

  /** A later change on top of one that is missing would be shown as if nothing were: of the log nothing is kept any more. With
   * each change anew, because a full disk may refuse that as well. */
  private giveUp(changes: Changes, { reads, done }: Beside) {
    this.over = true;
    const forget = (store: Store) => {
      store('about').delete('position');
      store('rows').clear();
      store('events').clear();
    };
    this.change(['about', 'rows', 'events'], forget, () => undefined);
    this.writeOutgoing(changes, done);
    if (reads) this.change(['about'], (store) => store('about').put(reads, 'reads'));
  }

  private change(stores: string[], write: (store: Store) => void, failed: () => void = () => (this.incomplete = true)) {
    if (!this.db) return failed();
    this.written += 1;
    const failedBy = (error: unknown) => {
      console.warn('the local copy was not written', error);
      failed();
    };
    try {
      const transaction = this.db.transaction(stores, 'readwrite');
      transaction.onabort = () => failedBy(transaction.error);
      write((name) => transaction.objectStore(name));
      // Now, and not when the page has heard of each request: one that is closed meanwhile would take the change with it.
      transaction.commit?.();
    } catch (error) {
      failedBy(error);
    }
  }
}

/** Files are waited for by nothing that has to do with none: one may be large. */
const outbox = (done: string[]) => (done.length ? ['outgoing', 'uploads'] : ['outgoing']);

function writeOutgoing(store: Store, { outgoing, sent }: Changes, done: string[]) {
  outgoing.forEach((one) => store('outgoing').put(one));
  sent.forEach((clientId) => store('outgoing').delete(clientId));
  done.forEach((clientId) => store('uploads').delete(clientId));
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser gives no database'));
  });
}
