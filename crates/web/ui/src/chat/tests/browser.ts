// What browsers have and these tests need, as far as it is used here: locks, channels between tabs, a database.

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
function request<T>(result: T): Asked<T> {
  const asked: Asked<T> = { result };
  setTimeout(() => asked.onsuccess?.());
  return asked;
}

function table(keyPath?: string | string[]) {
  const rows = new Map<string, { key: Key; value: unknown }>();
  const keyOf = (value: Record<string, Key>): Key => (Array.isArray(keyPath) ? keyPath.map((part) => value[part]!) : value[keyPath!]!);
  const name = (key: Key) => JSON.stringify(key);
  return {
    get: (key: Key) => request(rows.get(name(key))?.value),
    getAll: () => request([...rows.values()].sort((a, b) => compare(a.key, b.key)).map(({ value }) => value)),
    put: (value: Record<string, Key>, key: Key = keyOf(value)) => rows.set(name(key), { key, value: structuredClone(value) }),
    delete: (what: Key | Range) => {
      if (typeof what !== 'object' || !('lower' in what)) return void rows.delete(name(what));
      const within = [...rows.values()].filter(({ key }) => compare(key, what.lower) >= 0 && compare(key, what.upper) <= 0);
      return within.forEach(({ key }) => rows.delete(name(key)));
    },
    clear: () => rows.clear(),
  };
}

/** A disk. What is written is there at once, whole transactions at a time, since nothing comes in between. */
export function disk() {
  const stores = new Map<string, ReturnType<typeof table>>();
  const database = {
    createObjectStore: (name: string, { keyPath }: { keyPath?: string | string[] } = {}) => stores.set(name, table(keyPath)),
    transaction: () => ({ objectStore: (name: string) => stores.get(name), commit: () => undefined }),
    close: () => undefined,
  };
  const open = () => {
    const asked: Asked<typeof database> = { result: database };
    setTimeout(() => {
      if (!stores.size) asked.onupgradeneeded?.();
      asked.onsuccess?.();
    });
    return asked;
  };
  return { stores, open };
}
