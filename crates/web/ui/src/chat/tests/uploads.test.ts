import { expect, test } from 'vitest';

import { Pace } from '../pace';
import { bring } from '../uploads';

const ROUND_TRIP_MS = 40;
const KIB = 1024;

/** A path with one queue. `others` make it longer, by so many ms. */
class Path {
  now = 0;
  private free = 0;
  readonly pace = new Pace(ROUND_TRIP_MS);

  /** Keeps two pieces on it. Answers, of the last ten: how long each took, and bytes a ms of all together. */
  run({ bytesPerMs, seconds, others = 0 }: { bytesPerMs: number; seconds: number; others?: number }) {
    const end = this.now + seconds * 1000;
    const underWay: { begun: number; over: number; size: number }[] = [];
    const gone: typeof underWay = [];
    while (this.now < end) {
      while (underWay.length < 2) {
        const size = Math.ceil(this.pace.window / 2);
        this.free = Math.max(this.free, this.now) + size / bytesPerMs;
        underWay.push({ begun: this.now, over: this.free + ROUND_TRIP_MS + others, size });
      }
      const piece = underWay.shift()!;
      this.now = Math.max(this.now, piece.over);
      this.pace.took(piece.begun, this.now);
      gone.push(piece);
    }
    const last = gone.slice(-10);
    const bytes = last.slice(1).reduce((sum, piece) => sum + piece.size, 0);
    return { took: Math.max(...last.map((piece) => piece.over - piece.begun)), rate: bytes / (last.at(-1)!.over - last[0]!.over) };
  }
}

test('a slow path is filled, and its queue stays short', () => {
  for (const bytesPerMs of [60, 250, 1000]) {
    const { took, rate } = new Path().run({ bytesPerMs, seconds: 10 });
    expect(rate, `${bytesPerMs} bytes a ms`).toBeGreaterThan(0.95 * bytesPerMs);
    expect(took, `${bytesPerMs} bytes a ms`).toBeLessThan(ROUND_TRIP_MS + 150);
  }
});

test('a fast path gets all there is', () => {
  const path = new Path();
  path.run({ bytesPerMs: 12_500, seconds: 1 });
  expect(path.pace.window).toBe(384 * KIB);
});

test('a path that got slower is given way to', () => {
  const path = new Path();
  path.run({ bytesPerMs: 12_500, seconds: 1 });
  expect(path.run({ bytesPerMs: 125, seconds: 10 }).took).toBeLessThan(ROUND_TRIP_MS + 150);
});

test('who keeps the queue full whatever we do is not given way to for a while', () => {
  const path = new Path();
  path.run({ bytesPerMs: 250, seconds: 2 });
  expect(path.run({ bytesPerMs: 250, others: 800, seconds: 8 }).rate).toBeLessThan(125);
  path.run({ bytesPerMs: 250, others: 800, seconds: 8 });
  expect(path.pace.window).toBe(384 * KIB);
});

test('pieces follow each other without a gap, two at a time, whatever they take', async () => {
  const content = Uint8Array.from({ length: 300 * KIB }, (_, at) => at % 251);
  const there = new Uint8Array(content.length);
  let [underWay, most, end] = [0, 0, 5 * KIB];
  const steps: number[] = [];
  await bring(
    content.buffer,
    end,
    new Pace(1),
    async (at, piece) => {
      expect(at).toBe(end);
      end += piece.byteLength;
      most = Math.max(most, (underWay += 1));
      there.set(new Uint8Array(piece), at);
      await new Promise((resolve) => setTimeout(resolve, (at * 7) % 5));
      underWay -= 1;
      return { upload: '', offset: at + piece.byteLength, complete: false };
    },
    (at) => steps.push(at),
  );
  expect(there.slice(5 * KIB)).toEqual(content.slice(5 * KIB));
  expect([most, steps.at(-1)]).toEqual([2, content.length]);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
});

test('what the server refuses ends it', async () => {
  const refused = new Error('refused');
  const put = (at: number) => (at === 0 ? Promise.reject(refused) : new Promise<never>(() => undefined));
  await expect(bring(new ArrayBuffer(300 * KIB), 0, new Pace(1), put, () => undefined)).rejects.toBe(refused);
});
