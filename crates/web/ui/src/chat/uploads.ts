// Files on their way up: in pieces over HTTPS, from where an earlier try ended. Kept in the database with their bytes, so
// that a reload or an outage does not lose a picture that was sent.

import { make } from '../wire/codec';
import type { Body } from '../wire/im.gen';

import { hex, unhex } from './bytes';

/** Bytes of one request; the server takes 256 KiB. */
const PART_BYTES = 192 * 1024;

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
    return this.status === 0 || this.status === 401 || this.status === 429 || this.status >= 500;
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

  let status = await call<Status>('POST', '/im/blobs', JSON.stringify(wanted), { 'content-type': 'application/json' });
  while (!status.complete && status.offset < bytes.byteLength) {
    progress(status.offset / bytes.byteLength);
    const piece = bytes.slice(status.offset, status.offset + PART_BYTES);
    status = await call<Status>('PATCH', `/im/blobs/${status.upload}`, piece, { 'upload-offset': String(status.offset) });
  }
  progress(1);
  return bodyOf(one, await call<Done>('POST', `/im/blobs/${status.upload}/commit`));
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
