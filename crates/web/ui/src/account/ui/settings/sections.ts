// The pages of one's account and of the organisation, and who has them. Which one is open stands in the address: `#me=policy`.

import { useSyncExternalStore } from 'react';

import { may, OWNERS, type Standing } from '../../company';

export interface Section {
  /** In the address; empty: one's own page. */
  key: string;
  name: string;
  /** The scope that opens it; empty: everybody has it. */
  takes: string;
}

export const SECTIONS = [
  { key: '', name: 'Account', takes: '' },
  { key: 'contacts', name: 'Address book', takes: '' },
  { key: 'policy', name: 'Policy', takes: '' },
  { key: 'members', name: 'Members', takes: 'members' },
  { key: 'departments', name: 'Departments', takes: 'departments' },
  { key: 'keys', name: 'API keys', takes: OWNERS },
  { key: 'webhooks', name: 'Webhooks', takes: OWNERS },
  { key: 'audit', name: 'Audit log', takes: 'audit' },
  { key: 'accesses', name: 'Access log', takes: 'audit' },
] as const satisfies Section[];

export type Key = (typeof SECTIONS)[number]['key'];

/** Those that somebody has; before it is known who they are, everybody's. */
export function sectionsFor(standing?: Pick<Standing, 'role' | 'scopes'>): readonly (typeof SECTIONS)[number][] {
  return SECTIONS.filter(({ takes }) => takes === '' || (standing !== undefined && may(standing, takes)));
}

const read = () => new URLSearchParams(location.hash.replace(/^#/, '')).get('me') ?? '';

function follow(change: () => void) {
  window.addEventListener('hashchange', change);
  return () => window.removeEventListener('hashchange', change);
}

/** What the address asks for. */
export function useSection(): string {
  return useSyncExternalStore(follow, read);
}
