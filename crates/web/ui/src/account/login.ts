// A login session of this installation: kept over reloads, its access token renewed in time. The refresh token changes each
// time it is used, so tabs take turns.

import { deviceId, SignedOut } from '../chat/account';
import { hex, randomId } from '../chat/bytes';

import { ApiProblem, call } from './api';

const KEY = 'convene.login';
const LOCK = 'convene.login';
/** An access token is renewed when it has less than this to live: longer than any request takes. */
const SPARE_MS = 60_000;

interface Tokens {
  access_token: string;
  expires_in_s: number;
  refresh_token: string;
  session_id: string;
}

export interface Me {
  id: number;
  display_name: string;
  phone: string;
  consent_needed: boolean;
  policy_version: string;
}

interface Kept {
  account: Me;
  access: string;
  expiresMs: number;
  refresh: string;
  /** Name and title of the organisation in whose name one chats. */
  org?: Organisation;
}

export interface Organisation {
  id: number;
  name: string;
  title: string;
}

export class Login {
  private constructor(readonly account: Me) {}

  /** Of an earlier visit. */
  static restore(): Login | undefined {
    const kept = read();
    return kept && new Login(kept.account);
  }

  static async askForCode(phone: string, purpose: 'sign_in' | 'register') {
    await call('POST', '/v1/auth/codes', { phone, purpose, device_id: hex(deviceId()) });
  }

  static async signIn(phone: string, code: string): Promise<Login> {
    return begin(await call('POST', '/v1/auth/sign-in', { phone, code, device: device() }));
  }

  static async register(phone: string, code: string, name: string, consent: string): Promise<Login> {
    const body = { phone, code, display_name: name, consent, device: device() };
    return begin(await call('POST', '/v1/auth/register', body));
  }

  static of(account: Me): Login {
    return new Login(account);
  }

  get organisation(): Organisation | undefined {
    return read()?.org;
  }

  choose(org: Organisation | undefined) {
    const kept = read();
    if (kept) write({ ...kept, org });
  }

  /** A token that is good for a while. `stale`: one that was just refused. */
  async token(stale?: string): Promise<string> {
    const good = (kept: Kept | undefined) => kept && kept.access !== stale && kept.expiresMs - Date.now() > SPARE_MS;
    const kept = read();
    if (kept && good(kept)) return kept.access;
    return alone(async () => {
      // Another tab may have been faster.
      const current = read();
      if (!current || current.account.id !== this.account.id) throw new SignedOut('signed out in another tab');
      if (good(current)) return current.access;
      try {
        const tokens = await call<Tokens>('POST', '/v1/auth/refresh', { refresh_token: current.refresh });
        const renewed = { ...current, ...fresh(tokens) };
        write(renewed);
        return renewed.access;
      } catch (error) {
        if (error instanceof ApiProblem && error.status >= 400 && error.status < 500 && error.status !== 429) {
          localStorage.removeItem(KEY);
          throw new SignedOut(error.message);
        }
        throw error;
      }
    });
  }

  async get<T>(path: string): Promise<T> {
    return call<T>('GET', path, undefined, await this.token());
  }

  async post<T>(path: string, body?: unknown): Promise<T> {
    return call<T>('POST', path, body, await this.token());
  }

  /** Makes something, once even where the answer is lost and the request repeated. */
  async create<T>(path: string, body: unknown): Promise<T> {
    return call<T>('POST', path, body, await this.token(), { 'idempotency-key': randomId() });
  }

  async signOut() {
    const token = read()?.access;
    localStorage.removeItem(KEY);
    // Where the server does not hear of it, the session ends by itself.
    if (token) await call('POST', '/v1/auth/sign-out', undefined, token).catch(() => undefined);
  }
}

function begin(answer: Tokens & { account: Me }): Login {
  write({ account: answer.account, ...fresh(answer) });
  return Login.of(answer.account);
}

function fresh(tokens: Tokens) {
  return { access: tokens.access_token, expiresMs: Date.now() + tokens.expires_in_s * 1000, refresh: tokens.refresh_token };
}

function device() {
  return { id: hex(deviceId()), model: 'Browser', system: navigator.userAgent.slice(0, 200) };
}

function read(): Kept | undefined {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '') as Kept;
  } catch {
    return undefined;
  }
}

function write(kept: Kept) {
  localStorage.setItem(KEY, JSON.stringify(kept));
}

/** One tab at a time, where the browser can. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  // `navigator.locks` is missing on insecure addresses.
  const locks = navigator.locks as LockManager | undefined;
  return locks ? (locks.request(LOCK, work) as Promise<T>) : work();
}
