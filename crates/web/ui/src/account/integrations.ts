// What programs of an organisation work with: API keys, and the endpoints that are told of what happens.

import type { Company } from './company';

export interface Key {
  id: string;
  title: string;
  scopes: string[];
  made_s: number;
  /** Absent: it is good. */
  revoked_s?: number;
}

/** As it is told once. */
export interface MadeKey {
  id: string;
  secret: string;
  scopes: string[];
  room_prefix: string;
}

export interface Webhook {
  id: number;
  url: string;
  /** The API key that signs. */
  key: string;
  events: string[];
  made_s: number;
  /** Events that the endpoint does not take. */
  waiting: number;
}

export interface Tested {
  delivered: boolean;
  error?: string;
}

/** What a key may be for. */
export const KEY_SCOPES: [scope: string, words: string][] = [
  ['rooms', 'Rooms: tokens and LiveKit’s server API for rooms of the organisation, and reading its calls'],
  ['directory', 'Directory: reading members, departments and positions'],
  ['audit', 'Audit: reading the audit log'],
];

/** What an endpoint may be told of. */
export const EVENTS: [event: string, words: string][] = [
  ['rooms', 'Rooms: who comes and goes, and their tracks, in LiveKit’s format'],
  ['members', 'Members: who is in the organisation, and as what'],
  ['calls', 'Calls: begun, answered, over'],
  ['messages', 'Messages: what is written in every conversation of the organisation'],
];

export async function keysOf(company: Company): Promise<Key[]> {
  return (await company.login.get<{ keys: Key[] }>(company.path('/keys'))).keys;
}

export function makeKey(company: Company, title: string, scopes: string[]): Promise<MadeKey> {
  return company.login.create(company.path('/keys'), { title, scopes });
}

export function revokeKey(company: Company, id: string): Promise<void> {
  return company.login.ask('DELETE', company.path(`/keys/${id}`));
}

export async function webhooksOf(company: Company): Promise<Webhook[]> {
  return (await company.login.get<{ webhooks: Webhook[] }>(company.path('/webhooks'))).webhooks;
}

export function makeWebhook(company: Company, wanted: Pick<Webhook, 'url' | 'key' | 'events'>): Promise<Webhook> {
  return company.login.create(company.path('/webhooks'), wanted);
}

export function endWebhook(company: Company, id: number): Promise<void> {
  return company.login.ask('DELETE', company.path(`/webhooks/${id}`));
}

/** Sends an event at once, and says how that went. */
export function testWebhook(company: Company, id: number): Promise<Tested> {
  return company.login.ask('POST', company.path(`/webhooks/${id}/test`));
}

/** Those that are good before those that were revoked, each as the server has them: the latest first. */
export function goodFirst(keys: readonly Key[]): Key[] {
  return [...keys.filter((key) => !key.revoked_s), ...keys.filter((key) => key.revoked_s)];
}
