// One message: who, what, when, and what can be done with it.

import { memo, useContext, useState } from 'react';

import { Icon } from '../../icons';
import { Role } from '../../wire/im.gen';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { Avatar } from './Avatar';
import { Content } from './Content';
import { fullTime, time } from './format';
import { Reactions, ReactionPicker } from './Reactions';
import type { Intent } from './Thread';
import { ClientContext, useClient } from './useClient';
import { same, type Shown, shownOf, summary } from './view';

interface Props {
  conversation: Conversation;
  shown: Shown;
  /** The sender's. */
  name: string;
  /** Of one's own message: how many others have read it, and how many there are. */
  readers: number;
  others: number;
  /** What one may do in the conversation, as far as it decides what is offered. */
  role: Role;
  dissolved: boolean;
  onIntent: (intent: Intent) => void;
}

/** Drawn anew only if something in its properties is drawn differently: there are hundreds of them, and something happens all
 * the time. What else it shows of the client is in components that follow it by themselves. */
export const Message = memo(Plain, (a, b) => {
  const { shown: before, ...others } = a;
  const { shown: after, ...now } = b;
  return same(before, after) && Object.entries(others).every(([name, value]) => value === now[name as keyof typeof now]);
});

function Plain(props: Props) {
  const { conversation, shown, name } = props;
  const client = useContext(ClientContext) as Client;
  const own = shown.sender === client.me.id;
  const group = !conversation.state.peer;
  const gone = shown.body.kind?.case === 'tombstone';
  const classes = ['message', own ? 'own' : 'other', shown.first && 'first', gone && 'gone'].filter(Boolean).join(' ');
  return (
    <li className={classes} data-seq={shown.seq || undefined}>
      {!own && group && (shown.first ? <Face name={name} user={shown.sender} /> : <span className="avatar-space" />)}
      <div className="bubble">
        {!own && group && shown.first && <strong className="sender">{name}</strong>}
        {!own && !group && <span className="hidden">{name}: </span>}
        {shown.body.replyTo > 0 && <Quote conversation={conversation} seq={shown.body.replyTo} />}
        {gone ? <p>{summary(shown.body)}</p> : <Content conv={conversation.id} shown={shown} />}
        {shown.reactions.length > 0 && <Reactions conv={conversation.id} shown={shown} />}
        <span className="meta">
          {shown.pinned && 'pinned · '}
          {shown.edited && 'edited · '}
          <time dateTime={new Date(shown.atMs).toISOString()} title={fullTime(shown.atMs)}>
            {time(shown.atMs)}
          </time>
          {own && <State {...props} />}
        </span>
        {shown.outgoing?.progress.step === 'refused' && <Refused client={client} shown={shown} />}
      </div>
      {!gone && shown.seq > 0 && <Actions {...props} client={client} />}
    </li>
  );
}

/** The sender's picture, which may come or change later. */
function Face({ name, user }: { name: string; user: number }) {
  useClient();
  return <Avatar name={name} id={user} user={user} />;
}

/** What it answers. */
export function Quote({ conversation, seq }: { conversation: Conversation; seq: number }) {
  const client = useClient();
  const event = conversation.event(seq);
  const shown = event?.body && shownOf(conversation, event);
  return (
    <blockquote>
      <strong>{event ? client.people.name(event.sender) : 'An earlier message'}</strong>
      <span>{shown ? summary(shown.body, shown.text) : '…'}</span>
    </blockquote>
  );
}

/** Waiting, sent, read. */
function State({ conversation, shown, readers, others }: Props) {
  const step = shown.outgoing?.progress.step;
  if (step === 'refused') return null;
  if (step === 'queued' || step === 'flying') return <Mark icon="clock" label="Not sent yet" />;
  if (!readers) return <Mark icon="check" label="Sent" />;
  const label = conversation.state.peer ? 'Read' : `Read by ${readers} of ${others}`;
  return <Mark icon="checks" label={label} seen={readers === others} />;
}

function Mark({ icon, label, seen }: { icon: 'clock' | 'check' | 'checks'; label: string; seen?: boolean }) {
  return (
    <span className={seen ? 'mark seen' : 'mark'} role="img" aria-label={label} title={label}>
      <Icon name={icon} />
    </span>
  );
}

function Refused({ client, shown }: { client: Client; shown: Shown }) {
  return (
    <p className="refused" role="alert">
      The server did not take it.
      <button type="button" className="link" onClick={() => client.retry(shown.key)}>
        Try again
      </button>
      <button type="button" className="link" onClick={() => client.discard(shown.key)}>
        Discard
      </button>
    </p>
  );
}

function Actions({ client, conversation, shown, role, dissolved, onIntent }: Props & { client: Client }) {
  const [picking, setPicking] = useState(false);
  const { peer } = conversation.state;
  if (role === Role.UNSPECIFIED || dissolved) return null;
  const own = shown.sender === client.me.id;
  const kind = shown.body.kind?.case;
  const editable = own && (kind === 'text' || kind === 'image' || kind === 'file');
  const recallable = own || (!peer && role >= Role.ADMIN);
  const recall = () => client.send(conversation.id, { target: shown.seq, kind: { case: 'recall', value: {} } });
  return (
    <div className="actions">
      <button type="button" className="plain" aria-label="React" title="React" aria-expanded={picking} onClick={() => setPicking(!picking)}>
        <Icon name="smile" />
      </button>
      <button type="button" className="plain" aria-label="Reply" title="Reply" onClick={() => onIntent({ what: 'reply', shown })}>
        <Icon name="reply" />
      </button>
      {editable && (
        <button type="button" className="plain" aria-label="Edit" title="Edit" onClick={() => onIntent({ what: 'edit', shown })}>
          <Icon name="edit" />
        </button>
      )}
      {recallable && (
        <button type="button" className="plain" aria-label="Delete for everybody" title="Delete for everybody" onClick={recall}>
          <Icon name="trash" />
        </button>
      )}
      {picking && <ReactionPicker conv={conversation.id} shown={shown} onDone={() => setPicking(false)} />}
    </div>
  );
}
