// One conversation: its head, its messages, and where one writes.

import { useEffect, useState } from 'react';

import { Icon, type IconName } from '../../icons';
import { CallStanding, Role } from '../../wire/im.gen';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { Avatar } from './Avatar';
import { Composer } from './Composer';
import { Details } from './Details';
import { lastSeen } from './format';
import { Messages } from './Messages';
import { callBeside, type Calls, namesIn } from './useCalls';
import { useClient } from './useClient';
import type { Shown } from './view';

interface Props {
  conv: number;
  calls: Calls;
}

/** What the composer is about to do with a message. */
export interface Intent {
  what: 'reply' | 'edit';
  shown: Shown;
}

export function Thread({ conv, calls }: Props) {
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
  // Behind the details nobody is scrolled up.
  useEffect(() => {
    if (details) client.atFoot(conv);
  }, [client, conv, details, head]);

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
        <Avatar name={title} id={state.peer || conv} user={state.peer} online={client.hints.online(state.peer)} />
        <div className="grow">
          <h1>{title}</h1>
          <p className="dim">{subtitle(client, conversation)}</p>
        </div>
        {!calls.ongoing && <CallButtons calls={calls} conv={conv} disabled={!state.role || state.dissolved} />}
        <button type="button" className="round small quiet" aria-label="Details" title="Details" aria-pressed={details} onClick={() => setDetails(!details)}>
          <Icon name="info" />
        </button>
      </header>
      <CallBeside calls={calls} conv={conv} />
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

/** With an account one rings, by voice or with camera, or sits down in the conversation's room; else one just goes in. */
function CallButtons({ calls, conv, disabled }: { calls: Calls; conv: number; disabled: boolean }) {
  const client = useClient();
  const button = (label: string, icon: IconName, act: () => Promise<void>) => (
    <button type="button" className="round small" aria-label={label} title={label} disabled={disabled} onClick={() => void act()}>
      <Icon name={icon} />
    </button>
  );
  if (!client.account.company) return button('Call', 'phone', () => calls.begin(conv, true));
  return (
    <>
      {button('Call', 'phone', () => calls.begin(conv, false))}
      {button('Video call', 'camera', () => calls.begin(conv, true))}
      {button('Meeting room', 'people', () => calls.meet(conv))}
    </>
  );
}

/** A call of this conversation is on, and this device is not in it. */
function CallBeside({ calls, conv }: { calls: Calls; conv: number }) {
  const client = useClient();
  const beside = callBeside(client, conv, calls.ongoing?.id);
  if (!beside) return null;
  const { call, elsewhere } = beside;
  const names = namesIn(client, call, CallStanding.ACCEPTED);
  return (
    <div className="banner beside-call" role="status">
      <Icon name={call.video ? 'camera' : 'phone'} />
      <span className="grow">{elsewhere ? 'You are in this call on another device.' : `A call is on${names && `: ${names}`}.`}</span>
      {!elsewhere && (
        <button type="button" className="secondary" onClick={() => void calls.join(call)}>
          Join
        </button>
      )}
    </div>
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
