// The list of conversations: who, the last line, how much is unread. With an account, the people of the organisation beside it.

import { memo, useContext, useEffect, useState } from 'react';

import { People } from '../../account/ui/directory/People';
import { Icon } from '../../icons';
import type { Link } from '../../link';
import type { Client } from '../client';
import { isQuiet } from '../notices';
import type { Conversation } from '../replica/conversation';
import { isFor } from '../replica/rules';

import { Avatar } from './Avatar';
import { brief } from './format';
import { ask, canAsk } from './notice';
import { ClientContext, useClient } from './useClient';
import { preview } from './view';

interface Props {
  link: Link;
  onNew: () => void;
  onSignOut: () => void;
}

export function Sidebar({ link, onNew, onSignOut }: Props) {
  const { company } = useClient().account;
  const [people, setPeople] = useState(link.person > 0);
  useEffect(() => {
    // A conversation that was opened from somebody's page is in the other list.
    if (link.conv) setPeople(false);
    else if (link.person) setPeople(true);
  }, [link.conv, link.person]);
  if (!company) {
    return (
      <nav className="sidebar" aria-label="Conversations">
        <Head onNew={onNew} onSignOut={onSignOut} />
        <Conversations open={link.conv} onNew={onNew} />
      </nav>
    );
  }
  return (
    <div className="sidebar">
      <Head onNew={onNew} onSignOut={onSignOut} />
      <Tabs people={people} onChange={setPeople} />
      {people ? (
        <nav className="pane" aria-label="People">
          <People company={company} open={link.person} />
        </nav>
      ) : (
        <nav className="pane" aria-label="Conversations">
          <Conversations open={link.conv} onNew={onNew} />
        </nav>
      )}
    </div>
  );
}

function Tabs({ people, onChange }: { people: boolean; onChange: (people: boolean) => void }) {
  const client = useClient();
  const unread = client.replica.conversations().reduce((sum, one) => sum + (isQuiet(one) ? 0 : one.state.unread), 0);
  const tab = (name: string, icon: 'chat' | 'people', on: boolean, count: number) => (
    <button type="button" aria-pressed={on} onClick={() => onChange(icon === 'people')}>
      <Icon name={icon} /> {name}
      {!on && count > 0 && <span className="badge">{count > 999 ? '999+' : count}</span>}
    </button>
  );
  return (
    <div className="tabs" role="group" aria-label="What is listed">
      {tab('Chats', 'chat', !people, unread)}
      {tab('People', 'people', people, 0)}
    </div>
  );
}

function Head({ onNew, onSignOut }: { onNew: () => void; onSignOut: () => void }) {
  const client = useClient();
  const { company } = client.account;
  const me = client.people.name(client.me.id);
  return (
    <header>
      <Avatar name={me} id={client.me.id} user={client.me.id} online={client.isOnline} />
      <strong className="grow" title={client.transport && `Connected by ${client.transport}`}>
        {me}
        {company && <span className="dim">{company.org.title}</span>}
      </strong>
      {company ? (
        <a className="round small" href="#me" aria-label="Account" title="Account">
          <Icon name="person" />
        </a>
      ) : (
        <a className="round small" href="#lobby" aria-label="Join a room" title="Join a room">
          <Icon name="camera" />
        </a>
      )}
      <Bell />
      <button type="button" className="round small" aria-label="New conversation" title="New conversation" onClick={onNew}>
        <Icon name="plus" />
      </button>
      {!company && (
        <button type="button" className="round small" aria-label="Sign out" title="Sign out" onClick={onSignOut}>
          <Icon name="signOut" />
        </button>
      )}
    </header>
  );
}

/** There until somebody has answered the browser whether it may show notices. */
function Bell() {
  const [open, setOpen] = useState(canAsk);
  if (!open) return null;
  return (
    <button type="button" className="round small" aria-label="Show notices of new messages" title="Show notices of new messages" onClick={() => void ask().then(() => setOpen(canAsk()))}>
      <Icon name="bell" />
    </button>
  );
}

function Conversations({ open, onNew }: { open: number; onNew: () => void }) {
  const client = useClient();
  const conversations = sorted(client.replica.conversations());
  const { calls, hints, people } = client;
  const [now, today] = [performance.now(), new Date().toDateString()];
  const called = new Set(calls.all().map((call) => call.conv));
  return (
    <>
      {conversations.length === 0 && (
        <div className="empty">
          <p>{client.isOnline ? 'No conversations yet.' : 'Connecting…'}</p>
          <button type="button" className="primary" onClick={onNew}>
            Start one
          </button>
        </div>
      )}
      <ul>
        {conversations.map((conversation) => (
          <Row
            key={conversation.id}
            conversation={conversation}
            version={conversation.version}
            people={people.version}
            today={today}
            open={open === conversation.id}
            typing={hints.whoTypes(conversation.id, now).length > 0}
            online={hints.online(conversation.state.peer)}
            calling={called.has(conversation.id)}
            quiet={isQuiet(conversation)}
          />
        ))}
      </ul>
    </>
  );
}

/** Pinned ones first; hidden ones only while there is something new in them. */
function sorted(all: Conversation[]): Conversation[] {
  const shown = all.filter(({ state }) => !state.settings.hidden || state.unread > 0);
  return [...shown.filter((one) => one.state.settings.pinned), ...shown.filter((one) => !one.state.settings.pinned)];
}

/** Whether an unread message does. */
function calledByName(conversation: Conversation, me: number): boolean {
  for (const { seq, body } of conversation.backwards()) {
    if (seq <= conversation.state.read) return false;
    if (isFor(me, body)) return true;
  }
  return false;
}

interface RowProps {
  conversation: Conversation;
  /** With what its texts were made: names, and how long ago is today. */
  version: number;
  people: number;
  today: string;
  open: boolean;
  typing: boolean;
  online: boolean;
  calling: boolean;
  quiet: boolean;
}

/** Drawn anew only if one of its properties is another one: there may be hundreds of them. */
const Row = memo(function Row({ conversation, open, typing, online, calling, quiet }: RowProps) {
  const client = useContext(ClientContext) as Client;
  const { state, id } = conversation;
  const title = client.titleOf(conversation);
  const { text, by } = preview(conversation, client.people, client.me.id);
  const speaker = by === client.me.id ? 'You: ' : by && !state.peer ? `${client.people.name(by)}: ` : '';
  return (
    <li>
      <a href={`#c=${id}`} aria-current={open ? 'page' : undefined} className="row">
        <Avatar name={title} id={state.peer || id} user={state.peer} online={online} />
        <span className="row-title">{title}</span>
        <time className="dim" dateTime={new Date(state.atMs).toISOString()}>
          {brief(state.atMs, Date.now())}
        </time>
        <span className="row-text">{typing ? <em>typing…</em> : speaker + text}</span>
        <span className="row-marks">
          {calling && (
            <span className="calling" role="img" aria-label="A call is on" title="A call is on">
              <Icon name="phone" />
            </span>
          )}
          {quiet && <Icon name="bellOff" />}
          {calledByName(conversation, client.me.id) && (
            <span className="badge" role="img" aria-label="You are mentioned" title="You are mentioned">
              @
            </span>
          )}
          {state.unread > 0 && (
            <span className={quiet ? 'badge quiet' : 'badge'} aria-label={`${state.unread} unread`}>
              {state.unread > 999 ? '999+' : state.unread}
            </span>
          )}
        </span>
      </a>
    </li>
  );
});
