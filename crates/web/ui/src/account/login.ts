// A login session of this installation: kept over reloads, its access token renewed in time. The refresh token changes each
// time it is used, so tabs take turns.
//
// It lies in localStorage, and not in an HttpOnly cookie, for these reasons. Whatever script runs in this page can use the
// session either way while the page is open; a cookie would only keep it from carrying the token off. Against that stands the
// Content-Security-Policy (`crates/web/src/headers.rs`): no script but our own file runs, and no connection leads to another
// host; a navigation could still. A token that is carried off is good once: the second use of it, by whichever side, ends the
// session (`session_stolen`). And no request is trusted for a cookie, so no other site can make one in somebody's name, and
// every route may stay open to programs of other origins (`signaling/src/http/cors.rs`).

import { deviceId, SignedOut } from '../chat/account';
import { hex, randomId } from '../chat/bytes';
import { TCP_MS } from '../chat/link/link';

import { ApiProblem, call, json, type Method, send } from './api';
import { named } from './device';

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
  /** Where the picture is, for some hours. */
  picture?: string | null;
  phone: string;
  has_password: boolean;
  consent_needed: boolean;
  policy_version: string;
}

export interface Organisation {
  id: number;
  name: string;
  title: string;
}

interface Kept {
  account: Me;
  access: string;
  expiresMs: number;
  refresh: string;
  /** The organisation in whose name one chats. */
  org?: Organisation;
}

/** What is said of an account that has ended. */
const farewell = (receipt: string) => `Your account has ended. The receipt of it, which is kept nowhere else: ${receipt}`;

/** What is said of a sign-in that has ended, unless the server says more than that. */
export const OVER = 'Your sign-in here has ended: it was ended on another device, the password was changed, or it was not used for long.';
const TELLING = ['account_disabled', 'session_stolen'];

export type Purpose = 'sign_in' | 'register' | 'reset' | 'rebind' | 'cancel';
type SignedIn = Tokens & { account: Me };

export interface Newcomer {
  phone: string;
  code: string;
  name: string;
  consent: string;
  /** Empty: none yet. */
  password: string;
}

export async function askForCode(phone: string, purpose: Purpose) {
  await call('POST', '/v1/auth/codes', { phone, purpose, device_id: hex(deviceId()) });
}

export class Login {
  /** What is said of the end of the account, which is under way. */
  private ending?: Promise<string>;
  /** Why the server renewed it no more. Whoever asks afterwards finds nothing kept that could be refused. */
  private refusal?: ApiProblem;

  private constructor(private me: Me) {}

  /** Of an earlier visit. */
  static restore(): Login | undefined {
    const kept = read();
    return kept && new Login(kept.account);
  }

  static async signIn(phone: string, proof: { code: string } | { password: string }): Promise<Login> {
    return Login.begin(await call('POST', '/v1/auth/sign-in', { phone, ...proof, device: device() }));
  }

  static async register({ phone, code, name, consent, password }: Newcomer): Promise<Login> {
    const body = { phone, code, display_name: name, consent, password: password || undefined, device: device() };
    return Login.begin(await call('POST', '/v1/auth/register', body));
  }

  /** With another password, which ends all other sign-ins. */
  static async reset(phone: string, code: string, password: string): Promise<Login> {
    return Login.begin(await call('POST', '/v1/auth/reset', { phone, code, password, device: device() }));
  }

  private static begin(answer: SignedIn): Login {
    write({ account: answer.account, ...fresh(answer) });
    return new Login(answer.account);
  }

  get account(): Me {
    return this.me;
  }

  get organisation(): Organisation | undefined {
    return read()?.org;
  }

  choose(org: Organisation | undefined) {
    const kept = read();
    if (kept) write({ ...kept, org });
  }

  /** Who one is, as the server says. */
  async refreshMe(): Promise<Me> {
    this.me = await this.get<Me>('/v1/me');
    const kept = read();
    if (kept?.account.id === this.me.id) write({ ...kept, account: this.me });
    return this.me;
  }

  /** A token that is good for a while. `stale`: one that was just refused. */
  async token(stale?: string): Promise<string> {
    const good = (kept: Kept | undefined) => kept && kept.access !== stale && kept.expiresMs - Date.now() > SPARE_MS;
    const kept = read();
    if (kept && kept.account.id === this.me.id && good(kept)) return kept.access;
    return alone(async () => {
      // Another tab may have been faster.
      const current = read();
      if (!current || current.account.id !== this.me.id) throw new SignedOut('You have signed out in another tab.');
      return good(current) ? current.access : this.renew(current);
    });
  }

  get<T>(path: string): Promise<T> {
    return this.ask('GET', path);
  }

  /** Makes something, once even where the answer is lost and the request repeated. */
  create<T>(path: string, body: unknown): Promise<T> {
    return this.ask('POST', path, body, { 'idempotency-key': randomId() });
  }

  async ask<T>(method: Method, path: string, body?: unknown, headers?: Record<string, string>): Promise<T> {
    return json(await this.send(method, path, body, headers));
  }

  /** A token that the server does not take, as after a change of the clock, is renewed once. */
  async send(method: Method, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response> {
    const token = await this.token();
    try {
      return await send(method, path, body, token, { headers });
    } catch (error) {
      const renewable = error instanceof ApiProblem && (error.code === 'token_expired' || error.code === 'unauthenticated');
      if (!renewable) throw error;
      return send(method, path, body, await this.token(token), { headers });
    }
  }

  /** Ends the account for good, by a code. Answers what is to be said then: the receipt is in it. */
  end(code: string): Promise<string> {
    const asked = this.ask<{ receipt: string }>('POST', '/v1/me/cancel', { code });
    this.ending = asked.then(({ receipt }) => farewell(receipt));
    return this.ending;
  }

  /** Why the sign-in is over; `undefined`: it is not, or nobody answers. One that is over is forgotten. */
  async whyOver(): Promise<string | undefined> {
    // Chat hears of the end of an account before its receipt is there, and the receipt is shown once.
    const ended = await this.ending?.catch(() => undefined);
    if (ended) {
      this.forget();
      return ended;
    }
    try {
      await this.refreshMe();
      return undefined;
    } catch (error) {
      const refused = error instanceof ApiProblem && isRefusal(error) && (error.status === 401 || error.status === 403);
      if (!refused && !(error instanceof SignedOut)) return undefined;
      this.forget();
      const said = refused ? error : this.refusal;
      return said && TELLING.includes(said.code) ? said.message : OVER;
    }
  }

  /** Forgets the sign-in here, at once, and then at the server. */
  async signOut() {
    const kept = read();
    this.forget();
    if (!kept) return;
    try {
      const spent = kept.expiresMs - Date.now() < SPARE_MS;
      const access = spent ? (await refresh(kept)).access_token : kept.access;
      await call('POST', '/v1/auth/sign-out', undefined, access);
    } catch {
      // Where the server does not hear of it, the session ends by itself.
    }
  }

  /** The sign-in is over, and the server knows. */
  forget() {
    if (read()?.account.id === this.me.id) localStorage.removeItem(KEY);
  }

  private async renew(current: Kept): Promise<string> {
    try {
      const renewed = { ...current, ...fresh(await refresh(current)) };
      write(renewed);
      return renewed.access;
    } catch (error) {
      if (!(error instanceof ApiProblem) || !isRefusal(error)) throw error;
      this.refusal = error;
      this.forget();
      throw new SignedOut(error.message);
    }
  }
}

/** Within a time: all tabs wait for it. The server answers the same token once more, for an answer that came too late. */
function refresh(kept: Kept): Promise<Tokens> {
  return call('POST', '/v1/auth/refresh', { refresh_token: kept.refresh }, '', { signal: AbortSignal.timeout(TCP_MS) });
}

/** Whether our server has said no for good. What a proxy or a firewall says ends no sign-in. */
function isRefusal({ status, code }: ApiProblem): boolean {
  return code !== '' && status >= 400 && status < 500 && status !== 429;
}

function fresh(tokens: Tokens) {
  return { access: tokens.access_token, expiresMs: Date.now() + tokens.expires_in_s * 1000, refresh: tokens.refresh_token };
}

function device() {
  return { id: hex(deviceId()), ...named(navigator.userAgent) };
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
