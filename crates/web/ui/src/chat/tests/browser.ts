// What browsers have and these tests need, as far as it is used here: locks, channels between tabs, a database.

import { vi } from 'vitest';

interface Wanted {
  work: () => Promise<void>;
  done: () => void;
  fail: (error: DOMException) => void;
}

/** Locks as browsers have them, as far as they are used here. */
export function locks() {
  const held = new Map<string, Wanted>();
  const queues = new Map<string, Wanted[]>();
  const settle = (name: string) => {
    const next = held.has(name) ? undefined : queues.get(name)?.shift();
    if (!next) return;
    held.set(name, next);
    void next.work().then(() => {
      next.done();
      if (held.get(name) !== next) return;
      held.delete(name);
      settle(name);
    });
  };
  const request = (name: string, { steal, signal }: LockOptions, work: () => Promise<void>) =>
    new Promise<void>((done, fail) => {
      const asked = { work, done, fail };
      const queue = queues.get(name) ?? [];
      queues.set(name, steal ? [asked, ...queue] : [...queue, asked]);
      if (steal) held.get(name)?.fail(new DOMException('stolen', 'AbortError'));
      if (steal) held.delete(name);
      signal?.addEventListener('abort', () => {
        queues.set(name, queues.get(name)!.filter((one) => one !== asked));
        fail(new DOMException('given up', 'AbortError'));
      });
      settle(name);
    });
  return { request };
}

/** Without locks: what one tab posts, the others hear. */
export function channels() {
  const all = new Set<Channel>();
  class Channel {
    onmessage?: (event: { data: unknown }) => void;
    constructor() {
      all.add(this);
    }
    postMessage(data: unknown) {
      all.forEach((other) => other === this || other.onmessage?.({ data }));
    }
    close() {
      all.delete(this);
    }
  }
  return Channel;
}

type Key = string | number | Key[];

interface Range {
  lower: Key;
  upper: Key;
}

/** -1, 0, 1; numbers, texts and lists of them, as IndexedDB puts them in order. */
function compare(a: Key, b: Key): number {
  if (!Array.isArray(a) || !Array.isArray(b)) return a < b ? -1 : a > b ? 1 : 0;
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const order = compare(a[at]!, b[at]!);
    if (order) return order;
  }
  return a.length - b.length;
}

interface Asked<T> {
  result: T;
  onsuccess?: () => void;
  onupgradeneeded?: () => void;
}

/** What is done at once is answered in a moment, as by a database: never within the call. */
function request<T>(result: T, ms = 0): Asked<T> {
  const asked: Asked<T> = { result };
  setTimeout(() => asked.onsuccess?.(), ms);
  return asked;
}

/** How a disk is at the time. */
interface Condition {
  /** What cannot be written to. */
  full: string[];
  /** How long it takes to read a whole store. */
  readMs: number;
}

function table(condition: Condition, keyPath?: string | string[]) {
  const rows = new Map<string, { key: Key; value: unknown }>();
  const keyOf = (value: Record<string, Key>): Key => (Array.isArray(keyPath) ? keyPath.map((part) => value[part]!) : value[keyPath!]!);
  const name = (key: Key) => JSON.stringify(key);
  return {
    get: (key: Key) => request(rows.get(name(key))?.value),
    getAll: () => request([...rows.values()].sort((a, b) => compare(a.key, b.key)).map(({ value }) => value), condition.readMs),
    put: (value: Record<string, Key>, key: Key = keyOf(value)) => rows.set(name(key), { key, value: structuredClone(value) }),
    delete: (what: Key | Range) => {
      if (typeof what !== 'object' || !('lower' in what)) return void rows.delete(name(what));
      const within = [...rows.values()].filter(({ key }) => compare(key, what.lower) >= 0 && compare(key, what.upper) <= 0);
      return within.forEach(({ key }) => rows.delete(name(key)));
    },
    clear: () => rows.clear(),
  };
}

type Table = ReturnType<typeof table>;

interface Transaction {
  error?: DOMException;
  onabort?: () => void;
  objectStore: (name: string) => Table | undefined;
  commit: () => void;
}

/** What is written to a full store is gone, with all that was written in the same transaction. The page warns of it. */
function refused(): Transaction {
  vi.spyOn(console, 'warn').mockReturnValue();
  const none = table({ full: [], readMs: 0 });
  const transaction: Transaction = { error: new DOMException('full', 'QuotaExceededError'), objectStore: () => none, commit: () => undefined };
  setTimeout(() => transaction.onabort?.());
  return transaction;
}

/** A disk. What is written is there at once, whole transactions at a time, since nothing comes in between. */
export function disk() {
  const stores = new Map<string, Table>();
  const condition: Condition = { full: [], readMs: 0 };
  const connections: ReturnType<typeof connect>[] = [];
  const connect = () => {
    let isOpen = true;
    const database = {
      onclose: undefined as (() => void) | undefined,
      createObjectStore: (name: string, { keyPath }: { keyPath?: string | string[] } = {}) => stores.set(name, table(condition, keyPath)),
      transaction: (names: string[], mode?: string): Transaction => {
        if (!isOpen) throw new DOMException('closed', 'InvalidStateError');
        if (mode === 'readwrite' && names.some((name) => condition.full.includes(name))) return refused();
        return { objectStore: (name: string) => stores.get(name), commit: () => undefined };
      },
      close: () => void (isOpen = false),
    };
    return database;
  };
  const open = () => {
    const result = connect();
    const asked: Asked<typeof result> = { result };
    setTimeout(() => {
      connections.push(result);
      if (!stores.size) asked.onupgradeneeded?.();
      asked.onsuccess?.();
    });
    return asked;
  };
  /** The browser closes what it has opened for pages, as it does when its data is cleared or its disk fails. */
  const cut = () => {
    for (const connection of connections.splice(0)) {
      connection.close();
      connection.onclose?.();
    }
  };
  return { stores, open, condition, cut };
}
