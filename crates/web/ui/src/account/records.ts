// What was done in an organisation and what its members asked for: the audit log and the access log, page by page, in words.

import { type Company, SCOPES } from './company';

/** Something that was done. */
export interface AuditRecord {
  number: number;
  at_ms: number;
  /** Which account; 0: the command line or the server. */
  actor: number;
  address: string;
  /** A stable name, as `member.remove`. */
  act: string;
  /** As `account:17`. */
  target: string;
  /** JSON of what changed, or nothing. */
  detail: string;
  hash: string;
}

/** What a check of the whole log found. */
export interface Checkup {
  sound: boolean;
  records: number;
  hash: string;
  fault?: string | null;
}

/** A request. */
export interface Access {
  /** Of a member; one's own log does not say. */
  account?: number;
  at_s: number;
  address: string;
  client: string;
  endpoint: string;
  status: number;
  code: string;
}

/** Rows of a page: a screen or two. */
const PAGE = 50;

const page = (cursor?: string) => `limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;

export async function auditPage(company: Company, cursor?: string) {
  const { records, next } = await company.login.get<{ records: AuditRecord[]; next?: string | null }>(company.path(`/audit?${page(cursor)}`));
  return { rows: records, next };
}

export function checkAudit(company: Company): Promise<Checkup> {
  return company.login.get(company.path('/audit/check'));
}

/** Of one member, or of all. That it was read is in the audit log. */
export async function accessPage(company: Company, account: number, cursor?: string) {
  const of = account ? `account=${account}&` : '';
  const { entries, next } = await company.login.get<{ entries: Access[]; next?: string | null }>(company.path(`/accesses?${of}${page(cursor)}`));
  return { rows: entries, next };
}

/** What each act is in words. */
const ACTS: Record<string, string> = {
  'organisation.found': 'founded the organisation',
  'organisation.rename': 'gave the organisation another title',
  'organisation.dissolve': 'dissolved the organisation',
  'member.join': 'joined',
  'member.leave': 'left',
  'member.edit': 'changed their own profile',
  'member.role': 'gave themselves another role',
  'member.export': 'exported all that is known of them',
  'edit.ask': 'asked for a change of their profile',
  'edit.approve': 'agreed to a change of their own profile',
  'edit.withdraw': 'took back a change that they had asked for',
  'invitation.make': 'made an invitation',
  'invitation.withdraw': 'took back an invitation',
  'request.make': 'asked to be let in',
  'request.withdraw': 'took back the request to be let in',
  'department.add': 'added a department',
  'department.change': 'changed a department',
  'department.remove': 'removed a department',
  'position.add': 'added a position',
  'position.change': 'changed a position',
  'position.remove': 'removed a position',
  'policy.change': 'changed the policy',
  'key.make': 'made an API key',
  'key.end': 'revoked an API key',
  'webhook.make': 'made a webhook',
  'webhook.end': 'removed a webhook',
  'accesses.read': 'read the access log',
};

/** The same where it is done to somebody else, whose name follows. */
const DONE_TO: Record<string, string> = {
  'organisation.found': 'founded the organisation for',
  'member.join': 'let in',
  'member.remove': 'removed',
  'member.role': 'gave another role to',
  'member.edit': 'changed the profile of',
  'edit.approve': 'agreed to a change of the profile of',
  'edit.decline': 'refused a change of the profile of',
  'request.approve': 'let in',
  'request.decline': 'did not let in',
  'accesses.read': 'read the access log of',
};

/** Whom a record is about beside who did it; 0: nobody. */
export function subjectOf({ actor, target, detail }: AuditRecord): number {
  const account = Number(/^account:(\d+)$/.exec(target)?.[1] ?? /"account":(\d+)/.exec(detail)?.[1] ?? 0);
  return account === actor ? 0 : account;
}

/** Who did what to whom. An act that this page does not know is said as it stands. */
export function sentence(record: AuditRecord, nameOf: (account: number) => string): string {
  const { actor, act, target } = record;
  const who = actor ? nameOf(actor) : 'The server or its operator';
  const subject = subjectOf(record);
  const done = DONE_TO[act];
  if (subject && done) return `${who} ${done} ${nameOf(subject)}`;
  const number = /^(department|position|webhook|policy):\d+$/.test(target) ? ` (${target.replace(':', ' ')})` : '';
  return `${who} ${ACTS[act] ? ACTS[act] + number : `${act} ${target}`.trim()}`;
}

/** What the bits of a set stand for, by the act that notes one (`accounts::role`, `apikey`, `webhook`), from the lowest on. */
const BITS: Record<string, [key: string, names: readonly string[]]> = {
  'member.role': ['scopes', SCOPES],
  'key.make': ['scopes', ['rooms', 'directory', 'audit']],
  'webhook.make': ['kinds', ['rooms', 'members', 'calls', 'messages']],
};

/** Roles as they are noted. */
const ROLES = ['', 'owner', 'admin', 'member'];

/** What changed, as far as the record says and the sentence does not. What is no JSON is said as it stands. */
export function particulars({ act, detail }: AuditRecord): string {
  const [bitsKey, names] = BITS[act] ?? ['', []];
  const said = ([key, value]: [string, unknown]): string => {
    if (key === bitsKey) return names.filter((_, bit) => Number(value) & (1 << bit)).join(', ');
    if (key === 'role') return ROLES[Number(value)] ?? '';
    if (key === 'account' || value === null || value === false || (Array.isArray(value) && !value.length)) return '';
    if (value === true) return key;
    return `${key} ${Array.isArray(value) && value.every((one) => typeof one === 'string') ? value.join(', ') : JSON.stringify(value)}`;
  };
  try {
    const parsed = detail ? (JSON.parse(detail) as Record<string, unknown>) : {};
    return Object.entries(parsed).map(said).filter(Boolean).join(', ');
  } catch {
    return detail;
  }
}

/** Everybody who is named in some records. */
export function accountsIn(records: readonly AuditRecord[]): number[] {
  return [...new Set(records.flatMap((record) => [record.actor, subjectOf(record)]))].filter((account) => account > 0);
}
