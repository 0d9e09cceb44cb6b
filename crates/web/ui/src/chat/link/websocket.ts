// Frames over a WebSocket: one binary message each, everything on one lane.

import { decode } from '../../wire/codec';

import { inTime } from './intime';
import type { Link, Take } from './link';

export async function openWebSocket(url: string, patienceMs: number, take: Take): Promise<Link> {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  // Why it ended is said in the last frame, and nowhere else.
  const over = new Promise<number>((resolve) => {
    socket.onclose = () => resolve(0);
  });
  const open = new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error('the WebSocket did not open'));
  });
  await inTime(open, patienceMs, 'the WebSocket').catch((error: unknown) => {
    socket.close();
    throw error;
  });
  socket.onmessage = (message: MessageEvent<ArrayBuffer>) => {
    try {
      take(decode('Frame', new Uint8Array(message.data)));
    } catch {
      socket.close();
    }
  };
  const post = (frame: Uint8Array<ArrayBuffer>) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(frame);
  };
  return { kind: 'websocket', post, bulk: post, hint: post, close: () => socket.close(), over };
}
