// The start page: sign in, then chat. Who signed in stays so over a reload.

import { useCallback, useEffect, useState } from 'react';

import type { Link } from '../../link';
import { type Account, developmentAccount, tokenAccount } from '../account';
import { Client } from '../client';

import { ChatPage } from './ChatPage';
import { SignIn } from './SignIn';
import { ClientContext } from './useClient';

/** A tab's own: with a development token each tab may be somebody else. */
const KEY = 'convene.chat';

interface Known {
  user: string;
  name: string;
  token?: string;
}

const accountOf = ({ user, name, token }: Known): Account => (token ? tokenAccount(token) : developmentAccount(user, name));

function remembered(link: Link): Known | undefined {
  if (link.chatToken) return { user: '', name: '', token: link.chatToken };
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '') as Known;
  } catch {
    return undefined;
  }
}

export function Home({ link }: { link: Link }) {
  const [known, setKnown] = useState(() => remembered(link));
  const [client, setClient] = useState<Client>();

  useEffect(() => {
    if (!known) return undefined;
    sessionStorage.setItem(KEY, JSON.stringify(known));
    // The token is no part of what somebody copies from the address.
    if (link.chatToken) history.replaceState(null, '', location.pathname);
    let left = false;
    let started: Client | undefined;
    void Client.start(accountOf(known)).then((made) => {
      if (left) return made.stop();
      started = made;
      setClient(made);
      return undefined;
    });
    return () => {
      left = true;
      started?.stop();
      setClient(undefined);
    };
  }, [known]);

  const signOut = useCallback(() => {
    sessionStorage.removeItem(KEY);
    void client?.forget();
    setKnown(undefined);
    location.hash = '';
  }, [client]);

  if (!known) return <SignIn onSignIn={setKnown} />;
  if (!client) return <p className="starting">Opening…</p>;
  return (
    <ClientContext.Provider value={client}>
      <Ended client={client} onEnded={() => setKnown(undefined)} />
      <ChatPage open={link.conv} onSignOut={signOut} />
    </ClientContext.Provider>
  );
}

/** The server wants somebody to sign in again. The copy stays for when they do. */
function Ended({ client, onEnded }: { client: Client; onEnded: () => void }) {
  useEffect(() => {
    const look = () => {
      if (client.phase !== 'signedOut') return;
      sessionStorage.removeItem(KEY);
      onEnded();
    };
    look();
    const unsubscribe = client.subscribe(look);
    return () => void unsubscribe();
  }, [client, onEnded]);
  return null;
}
