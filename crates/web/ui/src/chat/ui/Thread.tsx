// One conversation: its head, its messages, and where one writes.

import { useEffect, useState } from 'react';

import { Icon } from '../../icons';
import { Role } from '../../wire/im.gen';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { Avatar } from './Avatar';
import { Composer } from './Composer';
import { Details } from './Details';
import { lastSeen } from './format';
import { Messages } from './Messages';
import { useClient } from './useClient';
import type { Shown } from './view';

interface Props {
  conv: number;
  inCall: boolean;
  onCall: () => void;
}

/** What the composer is about to do with a message. */
export interface Intent {
  what: 'reply' | 'edit';
  shown: Shown;
}

export function Thread({ conv, inCall, onCall }: Props) {
  const client = useClient();
  const [intent, setIntent] = useState<Intent>();
  const [details, setDetails] = useState(false);
  const conversation = client.replica.conversation(conv);
  const { phase } = client;
  const head = conversation?.state.head ?? 0;
  // Again with each connection, and when a head bump says that there is more.
  useEffect(() => {
    if (phase === 'online') client.show(conv);
  }, [client, conv, phase, head]);

  if (!conversation) {
    return (
      <section className="thread nothing">
        <a className="round small only-phone" href="#" aria-label="Back to conversations">
          <Icon name="back" />
        </a>
        <p>{client.isOnline ? 'There is no such conversation here.' : 'Connecting…'}</p>
      </section>
    );
  }
  const title = client.titleOf(conversation);
  const { state } = conversation;
  return (
    <section className="thread" aria-label={title}>
      <header>
        <a className="round small only-phone" href="#" aria-label="Back to conversations">
          <Icon name="back" />
        </a>
        <Avatar name={title} id={state.peer || conv} online={client.hints.online(state.peer)} />
        <div className="grow">
          <h1>{title}</h1>
          <p className="dim">{subtitle(client, conversation)}</p>
        </div>
        {!inCall && (
          <button type="button" className="round small" aria-label="Call" title="Call" onClick={onCall} disabled={!state.role}>
            <Icon name="phone" />
          </button>
        )}
        <button type="button" className="round small quiet" aria-label="Details" title="Details" aria-pressed={details} onClick={() => setDetails(!details)}>
          <Icon name="info" />
        </button>
      </header>
      {details ? (
        <Details conversation={conversation} onClose={() => setDetails(false)} />
      ) : (
        <>
          <Messages conversation={conversation} onIntent={setIntent} />
          {cannotWrite(conversation) ?? <Composer key={conv} conversation={conversation} intent={intent} onDone={() => setIntent(undefined)} />}
        </>
      )}
    </section>
  );
}

function subtitle(client: Client, { id, state }: Conversation): string {
  const typing = client.hints.whoTypes(id, performance.now());
  if (typing.length) return state.peer ? 'typing…' : `${typing.map((user) => client.people.name(user)).join(', ')} typing…`;
  if (state.peer) return client.hints.online(state.peer) ? 'online' : lastSeen(client.hints.lastSeenMs(state.peer), Date.now());
  return `${state.memberCount} members`;
}

function cannotWrite({ state }: Conversation) {
  const words = state.dissolved
    ? 'This group was closed.'
    : state.role === Role.UNSPECIFIED
      ? 'You are no member of this conversation any more.'
      : state.muted && state.role === Role.MEMBER
        ? 'Only admins may write here.'
        : '';
  return words ? <p className="composer-closed">{words}</p> : undefined;
}
