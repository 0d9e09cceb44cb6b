import { expect, test } from 'vitest';

import { mayOpen, roomOf } from '../seat';

const token = (video: unknown) => `e30.${btoa(JSON.stringify({ video })).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')}.sig`;

test('a token says its room, and which devices are of use', () => {
  const may = (grant: unknown) => (['microphone', 'camera'] as const).filter((device) => mayOpen(token(grant), device));
  expect(roomOf(token({ room: 'a room?>' }))).toBe('a room?>');
  expect(may({ room: 'r' })).toEqual(['microphone', 'camera']);
  expect(may({ canPublish: true, canPublishSources: [] })).toEqual(['microphone', 'camera']);
  expect(may({ canPublishSources: ['microphone'] })).toEqual(['microphone']);
  expect(may({ canPublish: false, canPublishSources: ['microphone'] })).toEqual([]);
});

test('what cannot be read forbids nothing: the server decides', () => {
  for (const text of ['', 'a.b.c', `e30.${btoa('null')}.sig`]) {
    expect([roomOf(text), mayOpen(text, 'camera')]).toEqual(['', true]);
  }
});
