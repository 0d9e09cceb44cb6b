// Who signs in, and with what: the name of the local copy, and tokens for chat.

import type { Company } from '../account/company';

import { randomId, unhex } from './bytes';
import { TCP_MS } from './link/link';

export interface Account {
  /** Names the local copy: another account never sees it. */
  key: string;
  /** A token that the server takes at present. `stale`: one that it has just refused. */
  token: (stale?: string) => Promise<string>;
  /** Of a person's account: the organisation in whose name it chats, and what only accounts can do. */
  company?: Company;
}

/** The account cannot be used any more: sign in again. */
export class SignedOut extends Error {}

const DEVICE_KEY = 'convene.device';

/** The 16 bytes that this installation made once. */
export function deviceId(): Uint8Array<ArrayBuffer> {
  const known = localStorage.getItem(DEVICE_KEY);
  const id = known && /^[0-9a-f]{32}$/.test(known) ? known : randomId();
  if (id !== known) localStorage.setItem(DEVICE_KEY, id);
  return unhex(id);
}

/** A server in development mode gives a token to anybody. */
export function developmentAccount(user: string, name: string): Account {
  let token = '';
  const ask = async () => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ user, name });
    const response = await fetch('/dev/chat-token', { method: 'POST', headers, body, signal: AbortSignal.timeout(TCP_MS) });
    if (response.status === 404 || response.status === 405) throw new SignedOut('this server is not in development mode');
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return ((await response.json()) as { token: string }).token;
  };
  return {
    key: `dev:${user}`,
    token: async (stale) => {
      if (!token || token === stale) token = await ask();
      return token;
    },
  };
}

/** Databases of all organisations of an account begin like this. */
export const copiesOf = (account: number) => `account:${account}/`;

/** Somebody who has signed in, in one of their organisations. */
export function loginAccount(company: Company): Account {
  const { login, org } = company;
  return { key: copiesOf(login.account.id) + org.name, token: (stale) => login.token(stale), company };
}

/** A token that came with a link, from `convene token --chat-user`. */
export function tokenAccount(token: string): Account {
  return {
    key: `token:${subjectOf(token)}`,
    token: async (stale) => {
      if (stale === token) throw new SignedOut('the token of the link is not valid any more');
      return token;
    },
  };
}

/** Who a token is of, to name the copy by. The server is the one that checks. */
function subjectOf(token: string): string {
  try {
    const payload = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const { sub = '', org = '' } = JSON.parse(atob(payload)) as { sub?: string; org?: string };
    return `${org}/${sub}`;
  } catch {
    return token.slice(-16);
  }
}
