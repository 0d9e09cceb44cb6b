// Many seeds: pushes that are lost, doubled and out of order, cuts, reloads, pages of any size. At the end the copy is the log.

import { expect, test } from 'vitest';

import type { Init } from '../../../wire/codec';
import type { Body } from '../../../wire/im.gen';
import { Replica, type Request } from '../replica';

import { BO, CONV, Log, ME, text } from './log';

const SEEDS = 300;
const STEPS = 120;
/** Messages that every other seed keeps. */
const FEW = 4;
/** A machine may be busy; a test that hangs ends all the same. */
const PATIENCE_MS = 120_000;

/** mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function anything(log: Log, pick: (below: number) => number): Init<Body> {
  const target = log.head ? 1 + pick(log.head) : 0;
  const of = log.events[target - 1];
  const choice = pick(10);
  const message = of?.body?.kind?.case === 'text';
  if (choice === 0 && message) return { target, kind: { case: 'recall', value: {} } };
  if (choice === 1 && message) return { target, kind: { case: 'edit', value: { text: `edited ${log.head}` } } };
  if (choice === 2 && message) return { target, kind: { case: 'react', value: { emoji: '👍', remove: pick(2) === 1 } } };
  return text(`${log.head + 1}`);
}

function run(seed: number) {
  const pick = random(seed);
  const log = new Log();
  log.add(BO, text('first'));
  const kept = seed % 2 ? FEW : undefined;
  let replica = new Replica(ME, undefined, kept);
  let now = 0;
  let inFlight: Request[] = [];
  const saved = { position: { useq: 0, bump: 0 }, rows: new Map(), events: new Map() };
  const write = () => {
    const { rows, events, hidden, position } = replica.takeChanges();
    for (const { floor } of hidden) for (const seq of [...saved.events.keys()]) if (seq <= floor) saved.events.delete(seq);
    for (const row of rows) saved.rows.set(row.conv, row);
    for (const event of events) saved.events.set(event.seq, event);
    saved.position = position ?? saved.position;
  };
  const answer = (request: Request) => {
    if (request.case === 'sync') replica.syncReply(log.sync(request.value.cursors[0]?.seq ?? 0, 1 + pick(9)), now);
    else if (request.case === 'fetch') replica.page(log.page(request.value.after, request.value.before, 1 + pick(6), request.value.backward), now);
  };
  const connect = () => {
    inFlight = [{ case: 'sync', value: replica.connected() }];
  };
  connect();
  let pushedTo = 1;
  let letGo = 0;
  for (let step = 0; step < STEPS; step += 1) {
    now += pick(300);
    const choice = pick(12);
    if (choice < 4) {
      // Of an edit the server asks that it is its sender's own: nobody else's counts.
      log.add(pick(2) ? BO : ME, anything(log, pick));
      const from = pick(6) ? pushedTo : Math.max(0, pushedTo - pick(3));
      if (pick(4)) replica.deliver(log.push(from, log.head), now);
      if (pick(8)) pushedTo = log.head;
    } else if (choice < 8) {
      const [request] = inFlight.splice(pick(Math.max(1, inFlight.length)), 1);
      if (request) answer(request);
    } else if (choice === 8) {
      const fetch = replica.older(CONV);
      if (fetch) inFlight.push({ case: 'fetch', value: fetch });
    } else if (choice === 9) {
      if (pick(2)) replica.show(CONV, now);
      else letGo += replica.atFoot(CONV) ? 1 : 0;
    } else if (choice === 10 && pick(3) === 0) {
      replica.disconnected();
      connect();
    } else if (choice === 11 && pick(4) === 0) {
      write();
      replica = new Replica(ME, { ...saved, rows: [...saved.rows.values()], events: [...saved.events.values()], outgoing: [] }, kept);
      connect();
    }
    replica.timeout(now);
    inFlight.push(...replica.takeRequests());
    write();
    const window = replica.conversation(CONV)?.newest();
    expect(window?.events.length ?? 0, `seed ${seed}, step ${step}: a hole is shown`).toBe(window ? window.to - window.from : 0);
  }
  // The network calms down: everything is asked for.
  replica.disconnected();
  connect();
  for (let round = 0; round < 500 && inFlight.length; round += 1) {
    now += 600;
    const [request] = inFlight.splice(0, 1);
    if (request) answer(request);
    replica.show(CONV, now);
    const fetch = replica.older(CONV);
    if (fetch && !inFlight.some((one) => one.case === 'fetch')) inFlight.push({ case: 'fetch', value: fetch });
    replica.timeout(now);
    inFlight.push(...replica.takeRequests());
  }
  return { log, replica, letGo };
}

test(`${SEEDS} seeds end with the log`, () => {
  let letGo = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { log, replica, letGo: times } = run(seed);
    letGo += times;
    const conversation = replica.conversation(CONV);
    const window = conversation?.newest();
    expect(window?.events, `seed ${seed}`).toEqual(log.events);
    const whole = new Replica(ME);
    whole.connected();
    whole.syncReply(log.sync(0), 0);
    for (const { seq } of log.events) expect(conversation?.folded(seq)).toEqual(whole.conversation(CONV)?.folded(seq));
    const own = log.events.findLast((event) => event.sender === ME);
    const unread = (log.events.at(-1)?.ord ?? 0) - (own?.ord ?? 0);
    expect(conversation?.state.unread, `seed ${seed}`).toBe(unread);
  }
  expect(letGo).toBeGreaterThan(SEEDS / 4);
}, PATIENCE_MS);
