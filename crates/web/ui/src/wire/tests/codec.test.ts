import { expect, test } from 'vitest';

import { hex, unhex } from '../../chat/bytes';
import { decode, encode, make } from '../codec';
import { Cutter, withPrefix } from '../framing';

test('a frame comes back as it was, and absent fields have their defaults', () => {
  const body = { kind: { case: 'text', value: { text: 'grüß dich' } } as const, mentions: [7, 300], replyTo: 9 };
  const bytes = encode('Frame', { rid: 2 ** 40, body: { case: 'send', value: { conv: 5, clientId: unhex('00ff'), body } } });
  const { rid, body: sent } = decode('Frame', bytes);
  expect(rid).toBe(2 ** 40);
  expect(sent).toEqual({ case: 'send', value: { conv: 5, clientId: unhex('00ff'), body: make('Body', body) } });
});

test('bytes on the wire are those of protobuf', () => {
  const rows: [string, Uint8Array][] = [
    ['', encode('Ping', {})],
    ['0805', encode('Settings', { conv: 5 })],
    // An optional field that is there is written, also where it is zero or -1.
    ['080518002001', encode('Settings', { conv: 5, pinned: false, hidden: true })],
    ['10ffffffffffffffffff01', encode('Settings', { mutedUntilMs: -1 })],
    ['20cd03', encode('Voice', { loudnessDlufs: -231 })],
    ['0a03010203', encode('FindUsers', { ids: [1, 2, 3] })],
  ];
  for (const [want, got] of rows) expect(hex(got)).toBe(want);
});

test('unknown fields and unknown kinds are skipped', () => {
  const known = encode('Body', { replyTo: 4 });
  const later = new Uint8Array([...known, ...unhex('fa0703616263'), ...unhex('a80701')]);
  expect(decode('Body', later)).toEqual(make('Body', { replyTo: 4 }));
});

test('damaged bytes are an error and nothing else', () => {
  const whole = encode('Frame', { rid: 1, body: { case: 'hello', value: { version: 1, token: 'abc', deviceId: unhex('0102') } } });
  for (let at = 0; at < whole.length; at += 1) {
    for (const bytes of [whole.slice(0, at), whole.map((byte, index) => (index === at ? byte ^ 0xff : byte))]) {
      try {
        decode('Frame', bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  }
  expect(() => decode('Deliver', unhex('08ffffffffffffffffff01'))).toThrow(/beyond/);
});

test('frames are cut wherever the network cuts them', () => {
  const frames = [0, 1, 127, 128, 300, 2_000].map((length) => new Uint8Array(length).fill(length % 251));
  const stream = new Uint8Array(frames.flatMap((frame) => [...withPrefix(frame)]));
  for (const step of [1, 7, 1000, stream.length]) {
    const cutter = new Cutter();
    const got: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += step) got.push(...cutter.push(stream.slice(at, at + step)));
    expect(got.map((frame) => frame.length)).toEqual(frames.map((frame) => frame.length));
    expect(got[4]).toEqual(frames[4]);
  }
  expect(new Cutter().push(withPrefix(new Uint8Array(65_536)))[0]).toHaveLength(65_536);
  expect(() => new Cutter().push(unhex('818004'))).toThrow(/longer/);
  expect(() => new Cutter().push(unhex('ffffffffff01'))).toThrow();
});
