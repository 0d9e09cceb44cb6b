// Frames over WebTransport: a control stream, a stream for each page, feeds that the server opens, datagrams for hints.

import { decode } from '../../wire/codec';
import { Cutter, withPrefix } from '../../wire/framing';

import { inTime } from './intime';
import type { Info, Link, Take } from './link';

/** How long the code of the end may take behind the end of the control stream. */
const CLOSE_MS = 1_000;

export async function openWebTransport(info: Info, patienceMs: number, take: Take): Promise<Link> {
  const hashes = info.certificate_hashes.map((hash) => ({
    algorithm: 'sha-256',
    value: Uint8Array.from(atob(hash), (char) => char.charCodeAt(0)),
  }));
  // For QUIC a browser tries one address of a name, and of this one it is ::1, where servers mostly do not listen.
  const url = info.webtransport.replace('//localhost:', '//127.0.0.1:');
  const transport = new WebTransport(url, hashes.length ? { serverCertificateHashes: hashes } : {});
  const closed = transport.closed.then(
    ({ closeCode = 0 }) => closeCode,
    () => 0,
  );
  const lane = async () => {
    const { readable, writable } = await transport.createBidirectionalStream();
    const writer = writable.getWriter();
    return { writer, done: drain(readable, take) };
  };
  const control = await inTime(transport.ready.then(lane), patienceMs, 'WebTransport').catch((error: unknown) => {
    transport.close();
    throw error;
  });
  void feeds(transport, take);
  void datagrams(transport, take);
  const hints = transport.datagrams.writable.getWriter();
  // The end of the session outruns what the last frame says of it; and it may be told after that of the control stream.
  const ended = () => Promise.race([closed, after(CLOSE_MS)]);
  const over = Promise.race([control.done.then(ended, ended), closed]);
  return {
    kind: 'webtransport',
    post: (frame) => void control.writer.write(withPrefix(frame)).catch(nothing),
    bulk: (frame) =>
      void lane()
        .then(async ({ writer }) => {
          await writer.write(withPrefix(frame));
          await writer.close();
        })
        .catch(nothing),
    hint: (frame) => void hints.write(frame).catch(nothing),
    close: () => transport.close(),
    over,
  };
}

const nothing = () => undefined;

const after = (ms: number) => new Promise<number>((resolve) => setTimeout(() => resolve(0), ms));

/** Reads a stream to its end. */
async function drain(readable: ReadableStream<Uint8Array>, take: Take) {
  const cutter = new Cutter();
  const reader = readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const frame of cutter.push(value)) take(decode('Frame', frame));
  }
}

async function feeds(transport: WebTransport, take: Take) {
  const reader = (transport.incomingUnidirectionalStreams as ReadableStream<ReadableStream<Uint8Array>>).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      // A feed whose framing is lost is a connection that is lost.
      drain(value, take).catch(() => transport.close());
    }
  } catch {
    // The transport is over, which its own promise tells.
  }
}

async function datagrams(transport: WebTransport, take: Take) {
  const reader = (transport.datagrams.readable as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      take(decode('Frame', value));
    }
  } catch {
    // As above.
  }
}
