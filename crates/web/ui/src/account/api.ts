// The REST of people: JSON or bytes out; JSON, bytes or a problem (RFC 9457) in.

import { TCP_MS } from '../chat/link/link';

export class ApiProblem extends Error {
  constructor(
    /** 0: the server did not answer. */
    readonly status: number,
    /** Empty: not from our server but from something in front of it. */
    readonly code: string,
    /** For a person: what went wrong and what to do next. */
    detail: string,
    readonly retryAfterS: number,
  ) {
    super(detail);
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** How people sign in on this server. */
export interface SignInWays {
  phone: boolean;
  /** By a name alone: the server is in development. */
  name: boolean;
}

/** Nothing where the server does not answer. */
export async function signInWays(): Promise<SignInWays | undefined> {
  const response = await fetch('/im/info', { cache: 'no-store', signal: AbortSignal.timeout(TCP_MS) }).catch(() => undefined);
  const info = response?.ok ? await response.json().catch(() => undefined) : undefined;
  return (info as { sign_in: SignInWays } | undefined)?.sign_in;
}

export interface More {
  headers?: Record<string, string>;
  /** Ends the request when somebody has no patience left. */
  signal?: AbortSignal;
}

/** Sends a request. Bytes go as they are, everything else as JSON. Whatever is no success is thrown. */
export async function send(method: Method, path: string, body?: unknown, token = '', { headers, signal }: More = {}): Promise<Response> {
  const all: Record<string, string> = { ...headers };
  const bytes = body instanceof Blob;
  if (token) all.authorization = `Bearer ${token}`;
  if (body !== undefined) all['content-type'] = bytes ? 'application/octet-stream' : 'application/json';
  const init = { method, headers: all, body: bytes || body === undefined ? body : JSON.stringify(body), cache: 'no-store' as const, signal };
  const response = await fetch(path, init).catch(() => {
    throw new ApiProblem(0, 'unreachable', navigator.onLine ? 'The server does not answer. Try again in a moment.' : 'This device is offline.', 0);
  });
  if (!response.ok) throw problem(response, await response.text().catch(() => ''));
  return response;
}

/** The JSON of an answer; nothing where it is empty. */
export async function json<T>(response: Response): Promise<T> {
  const text = await response.text().catch(() => {
    throw new ApiProblem(0, 'broken_off', 'The answer of the server broke off. Try again.', 0);
  });
  return (text ? JSON.parse(text) : undefined) as T;
}

/** Which version was answered, for `If-Match`. A proxy that compresses makes the tag a weak one (RFC 9110 §8.8.3). */
export function tagOf(response: Response): string {
  return (response.headers.get('etag') ?? '').replace(/^W\//, '');
}

export async function call<T>(method: Method, path: string, body?: unknown, token = '', more?: More): Promise<T> {
  return json(await send(method, path, body, token, more));
}

/** Where what the server says is for programs, what a person can do. */
const WORDS: Record<string, string> = {
  malformed: 'The server did not understand this page. Reload it; if that does not help, tell whoever runs the server.',
  unauthenticated: 'Your sign-in is not valid here. Reload the page and sign in again.',
  not_found: 'This is not there any more, or you may not see it.',
  forbidden: 'Your role does not allow this. Ask an administrator of your organisation.',
  stale: 'Somebody has changed this in the meantime. Look at it again, then repeat your change.',
  no_account: 'This number has no account yet. Create one: it takes a new code.',
  account_exists: 'This number has an account. Sign in: it takes a new code.',
  too_many_requests: 'Too many attempts.',
  last_owner: 'An organisation needs an owner. Make a colleague one first, on their page; or dissolve it.',
  key_not_allowed: 'This takes a person: a key of a program cannot do it.',
  name_taken: 'There is one of this name already. Choose another name.',
  department_cycle: 'A department cannot stand below itself or below what is in it.',
  department_not_empty: 'There are still people or departments in it. Move them first.',
  too_many: 'There are as many as there may be. Remove one first.',
  unavailable: 'The server cannot do this at the moment. Try again in a minute.',
  call_over: 'The call is over.',
  call_not_now: 'The call has changed in the meantime. Try again.',
};

function problem(response: Response, text: string): ApiProblem {
  const retryAfterS = Number(response.headers.get('retry-after')) || 0;
  const ours = response.headers.get('content-type')?.startsWith('application/problem+json');
  const { code, detail } = parse(ours ? text : '');
  const said = WORDS[code] ?? (detail || `The server answered ${response.status}. Try again in a moment.`);
  return new ApiProblem(response.status, code, retryAfterS ? `${said} ${wait(retryAfterS)}` : said, retryAfterS);
}

function parse(text: string): { code: string; detail: string } {
  try {
    return { code: '', detail: '', ...(JSON.parse(text) as object) };
  } catch {
    return { code: '', detail: '' };
  }
}

function wait(seconds: number): string {
  return `Try again in ${seconds > 90 ? `${Math.ceil(seconds / 60)} minutes` : `${seconds} seconds`}.`;
}
