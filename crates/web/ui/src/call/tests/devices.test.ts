import { beforeEach, expect, test, vi } from 'vitest';

import { choose, chosen, nameOf, speaker, withChosen } from '../devices';

const kept = new Map<string, string>();
const storage = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value),
};

beforeEach(() => {
  kept.clear();
  vi.stubGlobal('localStorage', storage);
});

/** What getUserMedia would be asked for, with these devices plugged in. */
async function opened(...there: string[]) {
  return withChosen('videoinput', (which) => {
    const wanted = which?.deviceId.exact ?? 'the first';
    if (which && !there.includes(wanted)) return Promise.reject(new DOMException('', 'OverconstrainedError'));
    return Promise.resolve(wanted);
  });
}

test('what was chosen is taken if it is there, and otherwise what the browser takes', async () => {
  expect(await opened('beside it')).toBe('the first');
  choose('audioinput', 'headset');
  choose('videoinput', 'above the screen');
  choose('videoinput', 'beside it');
  expect(await opened('beside it')).toBe('beside it');
  expect(await opened('above the screen')).toBe('the first');
  expect(chosen()).toEqual({ audioinput: 'headset', videoinput: 'beside it' });
});

test('why else a device cannot be opened is told', async () => {
  choose('videoinput', 'beside it');
  const open = vi.fn(() => Promise.reject(new DOMException('', 'NotAllowedError')));
  await expect(withChosen('videoinput', open)).rejects.toThrow(DOMException);
  expect(open).toHaveBeenCalledOnce();
});

test('a speaker is asked for where browsers have a choice', () => {
  choose('audiooutput', 'headset');
  expect(speaker()).toEqual({});
  vi.stubGlobal('HTMLMediaElement', class { setSinkId() {} });
  expect(speaker()).toEqual({ audioOutput: { deviceId: 'headset' } });
  vi.unstubAllGlobals();
});

test.each(['', 'x', 'null', '[1]', '{"audioinput":7}'])('a storage that holds %j holds no choice', (text) => {
  kept.set('convene.devices', text);
  expect(chosen().audioinput).toBeUndefined();
});

test('a storage that may not be used costs nothing but the memory', () => {
  vi.stubGlobal('localStorage', undefined);
  choose('audioinput', 'headset');
  expect(chosen()).toEqual({});
});

test('a device without a name has a number', () => {
  const device = (label: string) => ({ label }) as MediaDeviceInfo;
  expect([nameOf(device('Headset'), 0, 'Microphone'), nameOf(device(''), 1, 'Camera')]).toEqual(['Headset', 'Camera 2']);
});
