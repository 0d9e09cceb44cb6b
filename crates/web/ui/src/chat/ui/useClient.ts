// The chat client in the page: what is drawn follows it.

import { createContext, useContext, useSyncExternalStore } from 'react';

import type { Client } from '../client';

export const ClientContext = createContext<Client | undefined>(undefined);

/** The client; the caller is drawn anew whenever something in it has changed. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('no chat around');
  useSyncExternalStore(client.subscribe, client.snapshot);
  return client;
}
