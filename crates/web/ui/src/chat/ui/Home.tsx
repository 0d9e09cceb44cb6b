// The start page: sign in, then chat. Who signed in stays so over a reload.

import { useCallback, useEffect, useMemo, useState } from 'react';

import { Login, type Organisation } from '../../account/login';
import { Organisations } from '../../account/ui/Organisations';
import { Welcome } from '../../account/ui/Welcome';
import type { Link } from '../../link';
import { Code } from '../../wire/im.gen';
import { type Account, developmentAccount, loginAccount, tokenAccount } from '../account';
import { Client } from '../client';

import { ChatPage } from './ChatPage';
import { ClientContext } from './useClient';

/** A tab's own: with a development token each tab may be somebody else. */
const KEY = 'convene.chat';

interface Known {
  user: string;
  name: string;
  token?: string;
}

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
  const [login, setLogin] = useState(() => (known ? undefined : Login.restore()));
  const [org, setOrg] = useState<Organisation | undefined>(() => login?.organisation);

  const account = useMemo((): Account | undefined => {
    if (known) return known.token ? tokenAccount(known.token) : developmentAccount(known.user, known.name);
    return login && org ? loginAccount(login, org) : undefined;
  }, [known, login, org]);
  const choose = useCallback(
    (chosen: Organisation | undefined) => {
      login?.choose(chosen);
      setOrg(chosen);
    },
    [login],
  );
  const remember = (next: Known) => {
    sessionStorage.setItem(KEY, JSON.stringify(next));
    setKnown(next);
  };
  const forget = useCallback(() => {
    sessionStorage.removeItem(KEY);
    setKnown(undefined);
    setLogin(undefined);
    setOrg(undefined);
    location.hash = '';
  }, []);
  const signOut = useCallback(() => {
    void login?.signOut();
    forget();
  }, [login, forget]);
  useEffect(() => {
    // The token is no part of what somebody copies from the address.
    if (!link.chatToken) return;
    sessionStorage.setItem(KEY, JSON.stringify({ user: '', name: '', token: link.chatToken }));
    history.replaceState(null, '', location.pathname);
  }, [link]);

  if (account) return <Chat key={account.key} account={account} open={link.conv} onSignOut={signOut} onEnded={forget} onNoSeat={() => choose(undefined)} />;
  if (login) return <Organisations login={login} onChosen={choose} onSignOut={signOut} />;
  return (
    <Welcome
      onName={remember}
      onLogin={(next) => {
        setLogin(next);
        setOrg(next.organisation);
      }}
    />
  );
}

interface Props {
  account: Account;
  open: number;
  onSignOut: () => void;
  onEnded: () => void;
  onNoSeat: () => void;
}

/** The client lives as long as its account is shown. */
function Chat({ account, open, onSignOut, onEnded, onNoSeat }: Props) {
  const [client, setClient] = useState<Client>();
  useEffect(() => {
    let left = false;
    let started: Client | undefined;
    void Client.start(account).then((made) => {
      if (left) return made.stop();
      started = made;
      setClient(made);
      return undefined;
    });
    return () => {
      left = true;
      started?.stop();
    };
  }, [account]);
  useEffect(() => {
    // The server wants somebody to sign in again, or another organisation. The copy stays for when they do.
    const look = () => {
      if (client?.phase === 'signedOut') (client.ended === Code.NO_SEAT ? onNoSeat : onEnded)();
    };
    look();
    const unsubscribe = client?.subscribe(look);
    return () => void unsubscribe?.();
  }, [client, onEnded, onNoSeat]);

  if (!client) return <p className="starting">Opening…</p>;
  const leave = () => {
    void client.forget();
    onSignOut();
  };
  return (
    <ClientContext.Provider value={client}>
      <ChatPage open={open} onSignOut={leave} />
    </ClientContext.Provider>
  );
}
