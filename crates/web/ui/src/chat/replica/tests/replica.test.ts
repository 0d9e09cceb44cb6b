import { describe, expect, test } from 'vitest';

import { make } from '../../../wire/codec';
import { Code, EraseReason } from '../../../wire/im.gen';
import { GAP_WAIT_MS } from '../gap';
import { Replica, type Saved } from '../replica';

import { BO, CONV, Log, ME, text } from './log';

/** A copy that has synced with the log. */
function synced(log: Log, most = 1000): Replica {
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(log.sync(0, most), 0);
  return replica;
}

const texts = (replica: Replica) =>
  (replica.conversation(CONV)?.newest().events ?? []).map(({ seq, body }) =>
    replica.conversation(CONV)?.folded(seq).edited?.text ?? (body?.kind?.case === 'text' ? body.kind.value.text : `<${body?.kind?.case}>`),
  );

const fetches = (replica: Replica) => replica.takeRequests().flatMap((request) => (request.case === 'fetch' ? [request.value] : []));

function talk(count: number): Log {
  const log = new Log();
  for (let n = 1; n <= count; n += 1) log.add(n % 2 ? BO : ME, text(`${n}`));
  return log;
}

describe('a long log', () => {
  const shown = (replica: Replica) => replica.conversation(CONV)?.newest().events.map(({ seq }) => seq) ?? [];
  const span = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + 1 + n);

  test('is kept to its newest messages where nobody looks, in the database as well', () => {
    const log = talk(450);
    const replica = synced(log);
    expect(shown(replica)).toEqual(span(250, 450));
    expect(replica.takeChanges()).toMatchObject({ hidden: [{ conv: CONV, floor: 250 }], rows: [{ spans: [[250, 450]] }] });
    expect(replica.takeChanges().hidden).toEqual([]);
    for (let seq = 450; seq < 649; seq += 1) {
      log.add(BO, text('more'));
      replica.deliver(log.push(seq, seq + 1), 0);
    }
    expect(shown(replica)).toEqual(span(250, 649));
    log.add(BO, text('one too many'));
    log.add(BO, text('one too many'));
    replica.deliver(log.push(649, 651), 0);
    expect(shown(replica)).toEqual(span(451, 651));
  });

  test('comes back to who scrolls up, stays while they do, and goes when they are at its foot', () => {
    const log = talk(450);
    const replica = synced(log);
    replica.show(CONV, 0);
    for (let fetch = replica.older(CONV); fetch; fetch = replica.older(CONV)) {
      replica.page(log.page(fetch.after, fetch.before, 100, true), 0);
    }
    expect(shown(replica)).toEqual(span(0, 450));
    expect([replica.atFoot(CONV), replica.atFoot(CONV)]).toEqual([true, false]);
    expect(shown(replica)).toEqual(span(250, 450));
  });

  test('of another conversation goes when that one is left', () => {
    const log = talk(250);
    const replica = synced(log);
    replica.show(CONV, 0);
    for (let seq = 250; seq < 450; seq += 1) {
      log.add(BO, text('more'));
      replica.deliver(log.push(seq, seq + 1), 0);
    }
    expect(shown(replica)).toEqual(span(0, 450));
    replica.show(CONV + 1, 0);
    expect(shown(replica)).toEqual(span(250, 450));
  });

  test('of which the events are not all there is known as far as they are, and the rest is asked for', () => {
    const log = talk(1001);
    const row = (...spans: [number, number][]) => {
      const replica = synced(log);
      const [kept] = replica.takeChanges().rows;
      return { ...kept!, spans };
    };
    const rows: [spans: [number, number][], there: [number, number][], shown: [number, number]][] = [
      [[[0, 1001]], [[800, 1001]], [800, 1001]],
      [[[0, 1001]], [[0, 500], [900, 1001]], [900, 1001]],
      [[[0, 1001]], [[800, 1000]], [800, 1000]],
      [[[800, 1001]], [[0, 1001]], [800, 1001]],
    ];
    for (const [spans, there, [from, to]] of rows) {
      const events = there.flatMap(([after, last]) => log.events.slice(after, last));
      const saved = { position: { useq: 0, bump: 0 }, rows: [row(...spans)], events, outgoing: [] };
      const replica = new Replica(ME, saved, 1000);
      const { events: seen, ...bounds } = replica.conversation(CONV)!.newest();
      expect([bounds.from, bounds.to, bounds.atStart]).toEqual([from, to, false]);
      expect(seen).toHaveLength(bounds.to - bounds.from);
    }
    const none = { position: { useq: 0, bump: 0 }, rows: [row([0, 1001])], events: [], outgoing: [] };
    expect(new Replica(ME, none).conversation(CONV)?.newest()).toMatchObject({ from: 0, to: 0, events: [] });
    const stub = { ...none, rows: [row([1001, 1001])] };
    expect(new Replica(ME, stub).conversation(CONV)?.bounds()).toMatchObject({ from: 1001, to: 1001, atStart: false });
  });

  test('that an earlier release has left is cut when it is read', () => {
    const log = talk(1000);
    const whole = new Replica(ME, undefined, 1000);
    whole.connected();
    whole.syncReply(log.sync(0), 0);
    const { rows, events, position } = whole.takeChanges();
    const saved: Saved = { position: position ?? { useq: 0, bump: 0 }, rows, events, outgoing: [] };
    expect(events.length).toBe(1000);
    const replica = new Replica(ME, saved);
    expect(shown(replica)).toEqual(span(800, 1000));
    expect(replica.takeChanges().hidden).toEqual([{ conv: CONV, floor: 800 }]);
  });

  test('counts messages, not what is said of them: a hundred hearts are not a page', () => {
    const log = talk(10);
    for (let n = 0; n < 500; n += 1) log.add(BO, { target: 10, kind: { case: 'react', value: { emoji: '❤️' } } });
    expect(shown(synced(log)).length).toBe(510);
  });
});

describe('a hole', () => {
  test('is waited for, then asked for, and nothing is shown past it', () => {
    const log = talk(2);
    const replica = synced(log);
    for (const words of ['3', '4', '5', '6']) log.add(BO, text(words));
    replica.deliver(log.push(4, 5), 100);
    expect(texts(replica)).toEqual(['1', '2']);
    expect(replica.deadline).toBe(100 + GAP_WAIT_MS);
    replica.timeout(100 + GAP_WAIT_MS - 1);
    expect(fetches(replica)).toEqual([]);
    replica.timeout(100 + GAP_WAIT_MS);
    expect(fetches(replica)).toMatchObject([{ conv: CONV, after: 2, before: 5 }]);
    replica.page(log.page(2, 5), 700);
    expect(texts(replica)).toEqual(['1', '2', '3', '4', '5']);
    expect(replica.deadline).toBeUndefined();
  });

  test('fills by itself when a neighbour was overtaken', () => {
    const log = talk(1);
    const replica = synced(log);
    log.add(BO, text('2'));
    log.add(BO, text('3'));
    replica.deliver(log.push(2, 3), 0);
    replica.deliver(log.push(1, 2), 20);
    expect(texts(replica)).toEqual(['1', '2', '3']);
    expect(replica.deadline).toBeUndefined();
  });

  test('whose page ends early is asked for further', () => {
    const log = talk(1);
    const replica = synced(log);
    for (let n = 2; n <= 9; n += 1) log.add(BO, text(`${n}`));
    replica.deliver(log.push(8, 9), 0);
    replica.timeout(GAP_WAIT_MS);
    fetches(replica);
    replica.page(log.page(1, 9, 3), 600);
    expect(fetches(replica)).toMatchObject([{ after: 4, before: 9 }]);
    replica.page(log.page(4, 9), 700);
    expect(texts(replica)).toHaveLength(9);
  });
});

test('old pushes and those that overlap change nothing twice', () => {
  const log = talk(4);
  const replica = synced(log);
  log.add(BO, text('5'));
  replica.deliver(log.push(0, 3), 0);
  replica.deliver(log.push(2, 5), 0);
  replica.deliver(log.push(4, 5), 0);
  expect(texts(replica)).toEqual(['1', '2', '3', '4', '5']);
});

test('edits, reactions and recalls give the same in any order of pages', () => {
  const log = new Log();
  log.add(BO, text('one'));
  log.add(BO, text('two'));
  log.add(BO, { target: 1, kind: { case: 'edit', value: { text: 'ONE' } } });
  log.add(ME, { target: 1, kind: { case: 'edit', value: { text: 'not mine' } } });
  log.add(ME, { target: 1, kind: { case: 'react', value: { emoji: '👍' } } });
  log.add(BO, { target: 1, kind: { case: 'react', value: { emoji: '👍' } } });
  log.add(BO, { target: 1, kind: { case: 'react', value: { emoji: '👍', remove: true } } });
  log.add(BO, { target: 2, kind: { case: 'edit', value: { text: 'TWO' } } });
  log.add(BO, { target: 2, kind: { case: 'recall', value: {} } });
  const want = ['ONE', '<tombstone>', '<edit>', '<edit>', '<react>', '<react>', '<react>', '<tombstone>', '<recall>'];

  const pushed = synced(new Log());
  pushed.deliver(log.push(0, 9), 0);
  expect(texts(pushed)).toEqual(want);

  const backward = synced(log, 2);
  for (let fetch = backward.older(CONV); fetch; fetch = backward.older(CONV)) {
    // A page that was read before the recall: its bodies must not come back.
    const page = { ...log.page(fetch.after, fetch.before, 3, true) };
    backward.page({ ...page, events: log.pushed.slice(page.from, page.to) }, 0);
  }
  expect(texts(backward)).toEqual(want);
  for (const replica of [pushed, backward]) {
    expect(replica.conversation(CONV)?.folded(1).reactions).toEqual(new Map([['👍', new Set([ME])]]));
  }
});

test('unread counts come from ordinals, whatever is known of the log', () => {
  const log = talk(3);
  log.add(BO, text('4'));
  log.add(BO, { target: 1, kind: { case: 'react', value: { emoji: '🎉' } } });
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(log.sync(0, 1, { readSeq: 1, readOrd: 1 }), 0);
  expect(replica.conversation(CONV)?.state.unread).toBe(3);
  log.add(BO, text('5'));
  replica.deliver(log.push(5, 6), 0);
  expect(replica.conversation(CONV)?.state.unread).toBe(4);
  expect(replica.markRead(CONV, 6)).toBe(true);
  expect(replica.markRead(CONV, 5)).toBe(false);
  expect(replica.conversation(CONV)?.state.unread).toBe(0);
});

describe('what one sends', () => {
  const send = (replica: Replica, id: string) => replica.send(id, CONV, make('Body', text(id)), 0);
  const sent = (replica: Replica) =>
    replica.takeRequests().flatMap((request) => (request.case === 'send' ? [request.value.clientId] : []));

  test('goes out one at a time a conversation, under the same id after a cut', () => {
    const log = talk(1);
    const replica = synced(log);
    send(replica, 'aa');
    send(replica, 'bb');
    expect(sent(replica)).toEqual(['aa']);
    replica.disconnected();
    expect(sent(replica)).toEqual([]);
    replica.connected();
    expect(sent(replica)).toEqual(['aa']);
    replica.ack('aa', make('Ack', { conv: CONV, seq: 2, ord: 2 }), 0);
    expect(sent(replica)).toEqual(['bb']);
    expect(replica.outgoing(CONV).map((one) => one.clientId)).toEqual(['aa', 'bb']);
    log.add(ME, text('aa'));
    replica.deliver(log.push(1, 2), 0);
    expect(replica.outgoing(CONV).map((one) => one.clientId)).toEqual(['bb']);
  });

  test('waits when the server is busy, and stays as refused when it will not do', () => {
    const replica = synced(talk(1));
    send(replica, 'aa');
    send(replica, 'bb');
    const [first] = replica.takeRequests();
    if (!first) throw new Error('nothing was sent');
    replica.refused(first, make('Error', { code: Code.FLOOD, retryAfterMs: 250 }), 1000);
    expect(sent(replica)).toEqual([]);
    replica.timeout(1250);
    expect(sent(replica)).toEqual(['aa']);
    replica.refused(first, make('Error', { code: Code.MUTED }), 1300);
    expect(sent(replica)).toEqual(['bb']);
    replica.retry('aa');
    expect(replica.outgoing(CONV).map((one) => one.clientId)).toEqual(['bb', 'aa']);
    replica.discard('aa');
    expect(replica.takeChanges().sent).toEqual(['aa']);
  });
});

/** Writes changes as the database does. */
class Disk {
  saved: Saved = { position: { useq: 0, bump: 0 }, rows: [], events: [], outgoing: [] };

  write(replica: Replica) {
    const { events, rows, outgoing, sent, position, hidden, forgotten } = replica.takeChanges();
    const kept = <T>(old: T[], changed: T[], key: (one: T) => unknown) => {
      const keys = new Set(changed.map(key));
      return [...old.filter((one) => !keys.has(key(one))), ...changed];
    };
    const { saved } = this;
    this.saved = {
      position: position ?? saved.position,
      rows: kept(saved.rows, rows, (row) => row.conv).filter((row) => !forgotten.includes(row.conv)),
      events: kept(saved.events, events, (event) => `${event.conv}/${event.seq}`).filter(
        (event) => !forgotten.includes(event.conv) && !hidden.some((one) => one.conv === event.conv && event.seq <= one.floor),
      ),
      outgoing: kept(saved.outgoing, outgoing, (one) => one.clientId).filter((one) => !sent.includes(one.clientId)),
    };
  }
}

test('a reload shows the same, and syncs from where it stood', () => {
  const log = talk(5);
  log.add(ME, { target: 4, kind: { case: 'recall', value: {} } });
  const before = synced(log, 4);
  const disk = new Disk();
  disk.write(before);
  before.send('aa', CONV, make('Body', text('unsent')), 0);
  disk.write(before);
  const after = new Replica(ME, disk.saved);
  expect(texts(after)).toEqual(texts(before));
  expect(after.conversation(CONV)?.row()).toEqual(before.conversation(CONV)?.row());
  expect(after.connected()).toMatchObject({ bump: 6, cursors: [{ conv: CONV, seq: 6 }] });
  expect(after.outgoing(CONV).map((one) => one.progress.step)).toEqual(['queued']);
});

test('after a long absence the log goes on from its head, and the rest is fetched when it is wanted', () => {
  const log = talk(3);
  const replica = synced(log);
  replica.disconnected();
  for (let n = 4; n <= 40; n += 1) log.add(BO, text(`${n}`));
  replica.connected();
  replica.syncReply(log.sync(3, 5), 0);
  expect(texts(replica)).toEqual(['36', '37', '38', '39', '40']);
  const fetch = replica.older(CONV);
  expect(fetch).toMatchObject({ after: 3, before: 36, backward: true });
  replica.page(log.page(3, 36, 100, true), 0);
  expect(texts(replica)).toHaveLength(40);
  expect(replica.older(CONV)).toBeUndefined();
});

test('a server that was set back is synced with anew, and unsent things stay', () => {
  const replica = synced(talk(5));
  const disk = new Disk();
  disk.write(replica);
  replica.send('aa', CONV, make('Body', text('later')), 0);
  replica.disconnected();
  const sync = replica.connected();
  replica.refused({ case: 'sync', value: sync }, make('Error', { code: Code.BEYOND_HEAD }), 0);
  disk.write(replica);
  expect(disk.saved.events).toEqual([]);
  expect(replica.takeRequests().find((request) => request.case === 'sync')?.value).toMatchObject({ useq: 0, bump: 0, cursors: [] });
  expect(replica.outgoing(CONV)).toHaveLength(1);
});

test('a refused sync is asked for again, whatever comes in meanwhile', () => {
  const replica = synced(talk(5));
  replica.disconnected();
  const sync = replica.connected();
  replica.refused({ case: 'sync', value: sync }, make('Error', { code: Code.UNAVAILABLE, retryAfterMs: 700 }), 1000);
  // One's own log goes on without a hole, as after a read that went out with the hello.
  const read = { case: 'read', value: { conv: CONV, seq: 5, ord: 5 } } as const;
  replica.deliverUser(make('DeliverUser', { from: 0, to: 1, events: [{ useq: 1, kind: read }] }), 1100);
  expect([replica.takeRequests(), replica.deadline]).toEqual([[], 1700]);
  replica.timeout(1699);
  expect(replica.takeRequests()).toEqual([]);
  replica.timeout(1700);
  expect(replica.takeRequests()).toMatchObject([{ case: 'sync', value: { useq: 1, bump: sync.bump } }]);
  expect([replica.takeRequests(), replica.deadline]).toEqual([[], undefined]);
});

test('a cut ends the pause behind a refused sync', () => {
  const replica = synced(talk(5));
  replica.disconnected();
  replica.refused({ case: 'sync', value: replica.connected() }, make('Error', { code: Code.UNAVAILABLE, retryAfterMs: 60_000 }), 0);
  expect(replica.deadline).toBe(60_000);
  replica.disconnected();
  expect(replica.deadline).toBeUndefined();
});

test('a conversation that one has joined is told by the next sync', () => {
  const log = talk(2);
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(make('SyncReply'), 0);
  const joined = { case: 'joined', value: { conv: CONV, floor: 0 } } as const;
  replica.deliverUser(make('DeliverUser', { from: 0, to: 1, events: [{ useq: 1, kind: joined }] }), 0);
  expect(replica.conversations()).toEqual([]);
  expect(replica.takeRequests()).toMatchObject([{ case: 'sync', value: { useq: 1 } }]);
  replica.deliver(log.push(0, 1), 0);
  replica.syncReply({ ...log.sync(0), useqFrom: 0, useqTo: 1 }, 0);
  expect(texts(replica)).toEqual(['1', '2']);
});

test('the user log is applied in order: a hole in it is closed by a sync', () => {
  const log = talk(4);
  const replica = new Replica(ME);
  replica.connected();
  replica.syncReply(log.sync(0, 1000, { readSeq: 1, readOrd: 1 }), 0);
  const read = (useq: number, seq: number) => ({ useq, kind: { case: 'read', value: { conv: CONV, seq, ord: seq } } as const });
  replica.deliverUser(make('DeliverUser', { from: 1, to: 2, events: [read(2, 4)] }), 0);
  expect(replica.conversation(CONV)?.state.unread).toBe(0); // one's own message at 4 was read anyway
  expect(replica.takeRequests()).toEqual([]);
  replica.timeout(GAP_WAIT_MS);
  expect(replica.takeRequests()).toMatchObject([{ case: 'sync', value: { useq: 0 } }]);
});

describe('what retention took', () => {
  const kinds = (replica: Replica, seqs: number[]) => seqs.map((seq) => replica.conversation(CONV)?.event(seq)?.body?.kind?.case);

  function old(): { log: Log; replica: Replica } {
    const log = talk(6);
    log.add(BO, { kind: { case: 'call', value: {} } });
    log.add(ME, { kind: { case: 'edit', value: { text: 'two' } }, target: 2 });
    const replica = synced(log);
    replica.takeChanges();
    return { log, replica };
  }

  test('goes with a sync that leaves out the event that says so', () => {
    const { log, replica } = old();
    for (let n = 0; n < 20; n += 1) log.add(BO, text('later'));
    replica.connected();
    replica.syncReply(log.sync(8, 2, { swept: 7 }), 0);
    expect(kinds(replica, [1, 2, 3, 7, 8])).toEqual(['tombstone', 'tombstone', 'tombstone', 'call', 'tombstone']);
    const changes = replica.takeChanges();
    expect(changes.events.map(({ seq }) => seq)).toEqual(expect.arrayContaining([1, 2, 3, 4, 5, 6, 8]));
    expect(changes.rows[0]?.delta.swept).toBe(7);
    expect(replica.conversation(CONV)?.event(1)?.body?.kind?.value).toEqual({ kind: 1, reason: EraseReason.RETENTION });
  });

  test('does not come back with a page that is older, nor after a reload', () => {
    const { log, replica } = old();
    const saved = replica.takeChanges();
    const row = replica.conversation(CONV)?.row();
    const again = new Replica(ME, { position: { useq: 0, bump: 0 }, rows: row ? [{ ...row, spans: [], delta: { ...row.delta, swept: 3 } }] : [], events: saved.events, outgoing: [] });
    again.connected();
    again.syncReply(log.sync(0, 2), 0);
    again.page(log.page(0, 7), 0);
    expect(kinds(again, [1, 3, 4])).toEqual(['tombstone', 'tombstone', 'text']);
  });

  test('goes with the head of a busy group', () => {
    const { replica } = old();
    replica.head(make('Head', { conv: CONV, seq: 900, ord: 800, swept: 2 }));
    expect(kinds(replica, [1, 2, 3])).toEqual(['tombstone', 'tombstone', 'text']);
    expect(replica.takeChanges().events.map(({ seq }) => seq)).toEqual(expect.arrayContaining([1, 2, 8]));
  });
});
