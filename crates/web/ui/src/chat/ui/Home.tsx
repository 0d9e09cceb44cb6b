// The start page: sign in, then chat. Who signed in stays so over a reload.

import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { Company } from '../../account/company';
import { Login, type Organisation, OVER } from '../../account/login';
import { Consent } from '../../account/ui/Consent';
import { Organisations } from '../../account/ui/Organisations';
import { Welcome } from '../../account/ui/Welcome';
import type { Link } from '../../link';
import { Code } from '../../wire/im.gen';
import { type Account, copiesOf, developmentAccount, loginAccount, tokenAccount } from '../account';
import { Client } from '../client';
import { Database } from '../database';
import { forgetDrafts } from '../drafts';

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
  const [join, setJoin] = useState(link.join);
  const [why, setWhy] = useState('');
  useEffect(() => {
    // Secrets are no part of what somebody copies from the address.
    if (link.chatToken) sessionStorage.setItem(KEY, JSON.stringify({ user: '', name: '', token: link.chatToken }));
    if (link.join) setJoin(link.join);
    if (link.chatToken || link.join) history.replaceState(null, '', location.pathname);
  }, [link]);

  const account = useMemo(() => known && (known.token ? tokenAccount(known.token) : developmentAccount(known.user, known.name)), [known]);
  const forget = useCallback((words = '') => {
    sessionStorage.removeItem(KEY);
    setKnown(undefined);
    setLogin(undefined);
    setWhy(words);
    location.hash = '';
  }, []);
  const remember = (next: Known) => {
    sessionStorage.setItem(KEY, JSON.stringify(next));
    setKnown(next);
  };

  if (account) return <Chat key={account.key} account={account} link={link} onSwitch={nothing} onSignOut={forget} onEnded={() => forget()} />;
  if (login) return <SignedIn key={login.account.id} login={login} link={link} join={join} onJoined={() => setJoin('')} onOut={forget} />;
  return <Welcome key={why + join} onName={remember} onLogin={setLogin} invited={join !== ''} why={why} />;
}

const nothing = () => undefined;

interface SignedInProps {
  login: Login;
  link: Link;
  /** The secret of an invitation that one came by. */
  join: string;
  onJoined: () => void;
  onOut: (why?: string) => void;
}

/** Somebody with an account: agrees to the policy of use, chooses an organisation, chats in its name. */
function SignedIn({ login, link, join, onJoined, onOut }: SignedInProps) {
  const [asked, setAsked] = useState(login.account.consent_needed);
  const [org, setOrg] = useState<Organisation | undefined>(join ? undefined : login.organisation);
  const [why, setWhy] = useState('');
  const [alone, setAlone] = useState(true);
  // A device that was signed out from elsewhere keeps nothing, whether or not it was reachable then.
  const leave = useCallback(
    (words?: string) => {
      void Database.removeAll(copiesOf(login.account.id));
      forgetDrafts(copiesOf(login.account.id));
      onOut(words);
    },
    [login, onOut],
  );
  useEffect(() => {
    // Who was signed in finds out here that the policy of use has changed, or that the sign-in is over.
    void login.whyOver().then((over) => (over ? leave(over) : setAsked(login.account.consent_needed)));
  }, [login, leave]);

  useEffect(() => {
    // A link leads to the choice, where one sees what comes of it.
    if (join) setOrg(undefined);
  }, [join]);

  const choose = useCallback(
    (chosen: Organisation | undefined, words = '') => {
      login.choose(chosen);
      setWhy(words);
      setAlone(false);
      setOrg(chosen);
      if (!chosen) location.hash = '';
    },
    [login],
  );
  const signOut = useCallback(
    (words?: string) => {
      void login.signOut();
      leave(words);
    },
    [login, leave],
  );
  const ended = useCallback(
    async (code: Code) => {
      const over = await login.whyOver();
      const title = org?.title ?? 'the organisation';
      if (over) leave(over);
      else if (code === Code.UNAUTHENTICATED) onOut(OVER);
      else choose(undefined, code === Code.UNSUPPORTED_VERSION ? 'This page is older than the server. Reload it.' : `You are not in ${title} any more.`);
    },
    [login, org, choose, leave, onOut],
  );
  const account = useMemo(() => org && loginAccount(new Company(login, org)), [login, org]);

  if (asked) return <Consent login={login} onAgreed={() => setAsked(login.account.consent_needed)} onSignOut={() => signOut()} />;
  if (account) return <Chat key={account.key} account={account} link={link} onSwitch={() => choose(undefined)} onSignOut={signOut} onEnded={(code) => void ended(code)} />;
  return <Organisations login={login} link={join} onLinkDone={onJoined} why={why} alone={alone} onChosen={choose} onSignOut={() => signOut()} />;
}

interface Props {
  account: Account;
  link: Link;
  onSwitch: () => void;
  onSignOut: (why?: string) => void;
  onEnded: (code: Code) => void;
}

/** The client lives as long as its account is shown. */
function Chat({ account, link, onSwitch, onSignOut, onEnded }: Props) {
  const [client, setClient] = useState<Client>();
  const ended = useRef(onEnded);
  ended.current = onEnded;
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
    let told = false;
    const look = () => {
      if (client?.phase !== 'signedOut' || told) return;
      told = true;
      // Who was sent away leaves nothing here. A token that has run out does: the copy is there with the next one. Of a
      // login session `onEnded` finds out which of the two it was.
      if (client.endedBy === Code.REVOKED) void client.forget();
      ended.current(client.endedBy);
    };
    look();
    const unsubscribe = client?.subscribe(look);
    return () => void unsubscribe?.();
  }, [client]);

  if (!client) return <p className="starting">Opening…</p>;
  const leave = (why?: string) => {
    // Another tab may have the copy open for a moment longer: nobody waits for it.
    void client.forget();
    onSignOut(why);
  };
  return (
    <ClientContext.Provider value={client}>
      <ChatPage link={link} onSwitch={onSwitch} onSignOut={leave} />
    </ClientContext.Provider>
  );
}
