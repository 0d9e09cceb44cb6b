import { afterEach, expect, test, vi } from 'vitest';

import { Microphone } from '../microphone';

afterEach(() => vi.unstubAllGlobals());

/** A browser whose devices open when they are told to. Which tracks are on is in `on`. */
function browser({ broken = false } = {}) {
  const on = new Set<number>();
  const opening: ((fail?: Error) => void)[] = [];
  const recorders: Fake[] = [];
  let count = 0;
  class Fake {
    static isTypeSupported = () => true;
    state = 'inactive';
    mimeType = 'audio/webm';
    ondataavailable: ((event: { data: Blob }) => void) | null = null;
    private stopped: () => void = () => undefined;
    constructor(readonly stream: MediaStream) {
      if (broken) throw new Error('no encoder');
      recorders.push(this);
    }
    start() {
      this.state = 'recording';
    }
    pause() {
      this.state = 'paused';
    }
    stop() {
      this.state = 'inactive';
    }
    addEventListener(_: 'stop', stopped: () => void) {
      this.stopped = stopped;
    }
    /** What the browser does at its leisure after a stop. */
    end(words: string) {
      this.says(words);
      this.stopped();
    }
    says(words: string) {
      this.ondataavailable?.({ data: new Blob([words]) });
    }
  }
  const getUserMedia = () =>
    new Promise((resolve, reject) =>
      opening.push((fail) => {
        if (fail) return reject(fail);
        const id = (count += 1);
        on.add(id);
        return resolve({ getTracks: () => [{ stop: () => on.delete(id) }] });
      }),
    );
  vi.stubGlobal('MediaRecorder', Fake);
  vi.stubGlobal('navigator', { mediaDevices: { getUserMedia } });
  const open = (fail?: Error) => opening.shift()?.(fail);
  return { on, open, recorders };
}

test('begun twice before the device opens, it records once, and one device is on', async () => {
  const { on, open, recorders } = browser();
  const microphone = new Microphone();
  const both = [microphone.start(), microphone.start()];
  open();
  open();
  expect(await Promise.all(both)).toEqual([false, true]);
  expect([on.size, recorders.length]).toEqual([1, 1]);
  microphone.cancel();
  expect(on.size).toBe(0);
});

test('given up before the device opens, it is off as soon as it does', async () => {
  const { on, open, recorders } = browser();
  const microphone = new Microphone();
  const begun = microphone.start();
  microphone.cancel();
  open();
  expect(await begun).toBe(false);
  expect([on.size, recorders.length]).toEqual([0, 0]);
});

test('a fault is that of who still waits', async () => {
  const { open } = browser();
  const microphone = new Microphone();
  const given = microphone.start();
  const begun = microphone.start();
  open(new Error('closed'));
  open(new Error('blocked'));
  expect(await given).toBe(false);
  await expect(begun).rejects.toThrow('blocked');
});

test('what cannot be recorded leaves no device on', async () => {
  const { on, open } = browser({ broken: true });
  const begun = new Microphone().start();
  open();
  await expect(begun).rejects.toThrow('no encoder');
  expect(on.size).toBe(0);
});

test('a recording is handed out once, and is its own to the last piece', async () => {
  const { on, open, recorders } = browser();
  const microphone = new Microphone();
  const start = async () => {
    const begun = microphone.start();
    open();
    await begun;
  };
  await start();
  recorders[0]?.says('one');
  const [first, again] = [microphone.finish(), microphone.finish()];
  await start();
  recorders[1]?.says('two');
  recorders[0]?.end(' and its end');
  expect(await again).toBeUndefined();
  expect(await (await first)?.text()).toBe('one and its end');
  expect(on.size).toBe(1);
  const second = microphone.finish();
  recorders[1]?.end('');
  expect(await (await second)?.text()).toBe('two');
  expect(on.size).toBe(0);
});
