// One's address book: colleagues to have at hand, each with a note for oneself.

import type { Company, Member } from './company';

export interface Contact {
  organisation: number;
  member: Member;
  note: string;
}

/** Pages that are read at most: two thousand people are more than anybody has at hand. */
const MAX_PAGES = 10;
const PAGE = 200;

/** Of this organisation; whoever is a colleague no more is left out by the server. */
export async function contactsOf(company: Company): Promise<Contact[]> {
  const found: Contact[] = [];
  let cursor = '';
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const after = cursor && `&cursor=${encodeURIComponent(cursor)}`;
    const { contacts, next } = await company.login.get<{ contacts: Contact[]; next?: string | null }>(`/v1/me/contacts?limit=${PAGE}${after}`);
    found.push(...contacts.filter(({ organisation }) => organisation === company.org.id));
    if (!next) break;
    cursor = next;
  }
  return found.sort((a, b) => a.member.display_name.localeCompare(b.member.display_name));
}

/** Puts somebody in, or writes another note. */
export function keepContact(company: Company, account: number, note: string): Promise<void> {
  return company.login.ask('PUT', `/v1/me/contacts/${company.org.id}/${account}`, { note });
}

export function dropContact(company: Company, account: number): Promise<void> {
  return company.login.ask('DELETE', `/v1/me/contacts/${company.org.id}/${account}`);
}
