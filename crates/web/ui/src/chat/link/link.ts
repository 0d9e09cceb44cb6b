// A connection that carries frames: WebTransport where UDP passes, else a WebSocket. It decides nothing about chat.

import { ownUrl } from '../../call/seat';
import type { Frame } from '../../wire/im.gen';

import { openWebSocket } from './websocket';
import { openWebTransport } from './webtransport';

/** UDP that does not answer is given up after this. Longer delays chat where UDP is blocked, shorter gives up slow networks. */
const UDP_MS = 3000;
/** Each step over TCP, which passes where a page was loaded: some lost SYNs and a slow TLS handshake fit in. */
export const TCP_MS = 10_000;
/** After a WebTransport that failed, the next connections go straight to the WebSocket for this long. */
const AVOID_UDP_MS = 5 * 60_000;

export interface Link {
  kind: 'webtransport' | 'websocket';
  /** Sends on the control lane. */
  post: (frame: Uint8Array<ArrayBuffer>) => void;
  /** Sends a request on a lane of its own, which nothing else waits behind. */
  bulk: (frame: Uint8Array<ArrayBuffer>) => void;
  /** Sends what may be lost. */
  hint: (frame: Uint8Array<ArrayBuffer>) => void;
  close: () => void;
  /** Settles when the connection is over, with the code of its end where it has one, else 0. */
  over: Promise<number>;
}

export type Take = (frame: Frame) => void;

export interface Info {
  webtransport: string;
  certificate_hashes: string[];
  websocket: string;
}

let udpFailedAt = -Infinity;

export async function openLink(take: Take): Promise<Link> {
  const response = await fetch('/im/info', { cache: 'no-store', signal: AbortSignal.timeout(TCP_MS) });
  if (!response.ok) throw new Error(`/im/info answers ${response.status}`);
  const info = (await response.json()) as Info;
  const avoided = performance.now() - udpFailedAt < AVOID_UDP_MS;
  if (typeof WebTransport === 'function' && !avoided) {
    try {
      return await openWebTransport(info, UDP_MS, take);
    } catch {
      udpFailedAt = performance.now();
    }
  }
  return openWebSocket(ownUrl() + info.websocket, TCP_MS, take);
}

/** The network is another: UDP may pass there. */
export function forgetUdpFailure() {
  udpFailedAt = -Infinity;
}

/** UDP passed and then went silent: the next connection does without. */
export function noteUdpFailure() {
  udpFailedAt = performance.now();
}
