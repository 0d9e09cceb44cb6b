// The list of conversations: who, the last line, how much is unread.

import { Icon } from '../../icons';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { Avatar } from './Avatar';
import { brief } from './format';
import { useClient } from './useClient';
import { preview } from './view';

interface Props {
  open: number;
  onNew: () => void;
  onSignOut: () => void;
}

export function Sidebar({ open, onNew, onSignOut }: Props) {
  const client = useClient();
  const conversations = sorted(client.replica.conversations());
  const me = client.people.name(client.me.id);
  return (
    <nav className="sidebar" aria-label="Conversations">
      <header>
        <Avatar name={me} id={client.me.id} online={client.isOnline} />
        <strong className="grow" title={client.transport && `Connected by ${client.transport}`}>
          {me}
        </strong>
        <a className="round small" href="#lobby" aria-label="Join a room" title="Join a room">
          <Icon name="camera" />
        </a>
        <button type="button" className="round small" aria-label="New conversation" title="New conversation" onClick={onNew}>
          <Icon name="plus" />
        </button>
        <button type="button" className="round small" aria-label="Sign out" title="Sign out" onClick={onSignOut}>
          <Icon name="signOut" />
        </button>
      </header>
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
          <Row key={conversation.id} client={client} conversation={conversation} open={open === conversation.id} />
        ))}
      </ul>
    </nav>
  );
}

/** Pinned ones first; hidden ones only while there is something new in them. */
function sorted(all: Conversation[]): Conversation[] {
  const shown = all.filter(({ state }) => !state.settings.hidden || state.unread > 0);
  return [...shown.filter((one) => one.state.settings.pinned), ...shown.filter((one) => !one.state.settings.pinned)];
}

function Row({ client, conversation, open }: { client: Client; conversation: Conversation; open: boolean }) {
  const { state, id } = conversation;
  const title = client.titleOf(conversation);
  const { text, by } = preview(conversation, client.people, client.me.id);
  const typing = client.hints.whoTypes(id, performance.now()).length > 0;
  const speaker = by === client.me.id ? 'You: ' : by && !state.peer ? `${client.people.name(by)}: ` : '';
  const quiet = isQuiet(conversation);
  return (
    <li>
      <a href={`#c=${id}`} aria-current={open ? 'page' : undefined} className="row">
        <Avatar name={title} id={state.peer || id} online={client.hints.online(state.peer)} />
        <span className="row-title">{title}</span>
        <time className="dim" dateTime={new Date(state.atMs).toISOString()}>
          {brief(state.atMs, Date.now())}
        </time>
        <span className="row-text">{typing ? <em>typing…</em> : speaker + text}</span>
        <span className="row-marks">
          {quiet && <Icon name="bellOff" />}
          {state.unread > 0 && (
            <span className={quiet ? 'badge quiet' : 'badge'} aria-label={`${state.unread} unread`}>
              {state.unread > 999 ? '999+' : state.unread}
            </span>
          )}
        </span>
      </a>
    </li>
  );
}

/** The user does not want to be disturbed by it. */
export function isQuiet({ state }: Conversation): boolean {
  const until = state.settings.mutedUntilMs ?? 0;
  return until === -1 || until > Date.now();
}
