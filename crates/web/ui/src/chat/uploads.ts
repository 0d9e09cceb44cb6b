// A file on its way up: in pieces over HTTPS, from where an earlier try ended.

import { make } from '../wire/codec';
import type { Body } from '../wire/im.gen';

import { hex, unhex } from './bytes';
import { Pace } from './pace';

/** Pieces under way at a time: one is on the path while the answer to the other is. */
const PIECES = 2;

export interface Upload {
  /** Becomes the client id of the message. */
  clientId: string;
  conv: number;
  kind: 'image' | 'file' | 'voice';
  file: Blob;
  name: string;
  width: number;
  height: number;
  replyTo: number;
  atMs: number;
}

export class UploadRefused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** Worth another try later. */
  get again(): boolean {
    return [0, 401, 409, 429].includes(this.status) || this.status >= 500;
  }
}

interface Status {
  upload: string;
  offset: number;
  complete: boolean;
}

interface Done {
  id: string;
  size: number;
  mime: string;
  voice?: { duration_ms: number; loudness_dlufs: number; waveform: number[] };
}

/** Brings the bytes to the server. Answers the body of the message. `progress`: 0 to 1. */
export async function upload(one: Upload, { token, org = '' }: { token: string; org?: string }, progress: (part: number) => void, stop: AbortSignal): Promise<Body> {
  const bytes = await one.file.arrayBuffer();
  // Browsers hash on secure addresses only.
  if (!crypto.subtle) throw new UploadRefused(400, 'Files need a secure address: open this page by https://');
  const sha256 = hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
  const wanted = { sha256, size: bytes.byteLength, mime: one.file.type, voice: one.kind === 'voice' };
  const inNameOf = org && `?org=${encodeURIComponent(org)}`;
  const call = <T>(method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}) =>
    ask<T>(path + inNameOf, { method, body, signal: stop, headers: { authorization: `Bearer ${token}`, ...headers } });

  const asked = performance.now();
  const begun = await call<Status>('POST', '/im/blobs', JSON.stringify(wanted), { 'content-type': 'application/json' });
  const address = `/im/blobs/${begun.upload}`;
  if (!begun.complete) {
    const put = (at: number, piece: ArrayBuffer) => call<Status>('PATCH', address, piece, { 'upload-offset': String(at) });
    await bring(bytes, begun.offset, new Pace(performance.now() - asked), put, (there) => progress(there / bytes.byteLength));
  }
  progress(1);
  return bodyOf(one, await call<Done>('POST', `${address}/commit`));
}

/** Brings everything from `offset` on, with as much under way as the path takes. The server puts pieces in order. */
export async function bring(bytes: ArrayBuffer, offset: number, pace: Pace, put: (at: number, piece: ArrayBuffer) => Promise<Status>, progress: (there: number) => void) {
  const underWay: Promise<number>[] = [];
  const send = async () => {
    const [at, now] = [offset, performance.now()];
    const piece = bytes.slice(at, at + Math.ceil(pace.window / PIECES));
    offset += piece.byteLength;
    const there = (await put(at, piece)).offset;
    pace.took(now, performance.now());
    return there;
  };
  for (;;) {
    while (underWay.length < PIECES && offset < bytes.byteLength) {
      const piece = send();
      piece.catch(() => undefined); // said when it is its turn
      underWay.push(piece);
    }
    const first = underWay.shift();
    if (!first) return;
    progress(await first);
  }
}

function bodyOf(one: Upload, done: Done): Body {
  const blob = { id: unhex(done.id), size: done.size, mime: done.mime, name: one.name };
  const { replyTo, width, height } = one;
  if (one.kind === 'voice') {
    const { duration_ms = 0, loudness_dlufs = 0, waveform = [] } = done.voice ?? {};
    const value = { blob, durationMs: duration_ms, waveform: Uint8Array.from(waveform), loudnessDlufs: loudness_dlufs };
    return make('Body', { replyTo, kind: { case: 'voice', value } });
  }
  // What the server found in it counts, not what its name promised.
  if (one.kind === 'image' && done.mime.startsWith('image/')) {
    return make('Body', { replyTo, kind: { case: 'image', value: { blob, width, height } } });
  }
  return make('Body', { replyTo, kind: { case: 'file', value: { blob } } });
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  const response = await fetch(path, init).catch(() => {
    throw new UploadRefused(0, 'the server does not answer');
  });
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  throw new UploadRefused(response.status, problem.detail ?? `the server answered ${response.status}`);
}
