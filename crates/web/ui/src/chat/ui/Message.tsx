// One message: who, what, when, and what can be done with it.

import { useState } from 'react';

import { Icon } from '../../icons';
import { Role } from '../../wire/im.gen';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { Avatar } from './Avatar';
import { Content } from './Content';
import { fullTime, time } from './format';
import { Reactions, ReactionPicker } from './Reactions';
import type { Intent } from './Thread';
import { useClient } from './useClient';
import { type Shown, shownOf, summary } from './view';

interface Props {
  conversation: Conversation;
  shown: Shown;
  onIntent: (intent: Intent) => void;
}

export function Message({ conversation, shown, onIntent }: Props) {
  const client = useClient();
  const own = shown.sender === client.me.id;
  const group = !conversation.state.peer;
  const gone = shown.body.kind?.case === 'tombstone';
  const classes = ['message', own ? 'own' : 'other', shown.first && 'first', gone && 'gone'].filter(Boolean).join(' ');
  const name = client.people.name(shown.sender);
  return (
    <li className={classes} data-seq={shown.seq || undefined}>
      {!own && group && (shown.first ? <Avatar name={name} id={shown.sender} user={shown.sender} /> : <span className="avatar-space" />)}
      <div className="bubble">
        {!own && group && shown.first && <strong className="sender">{name}</strong>}
        {!own && !group && <span className="hidden">{name}: </span>}
        {shown.body.replyTo > 0 && <Quote client={client} conversation={conversation} seq={shown.body.replyTo} />}
        {gone ? <p>{summary(shown.body)}</p> : <Content conv={conversation.id} shown={shown} />}
        <Reactions conv={conversation.id} shown={shown} />
        <span className="meta">
          {shown.pinned && 'pinned · '}
          {shown.edited && 'edited · '}
          <time dateTime={new Date(shown.atMs).toISOString()} title={fullTime(shown.atMs)}>
            {time(shown.atMs)}
          </time>
          {own && <State client={client} conversation={conversation} shown={shown} />}
        </span>
        {shown.outgoing?.progress.step === 'refused' && <Refused client={client} shown={shown} />}
      </div>
      {!gone && shown.seq > 0 && <Actions client={client} conversation={conversation} shown={shown} onIntent={onIntent} />}
    </li>
  );
}

/** What it answers. */
export function Quote({ client, conversation, seq }: { client: Client; conversation: Conversation; seq: number }) {
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
function State({ client, conversation, shown }: { client: Client; conversation: Conversation; shown: Shown }) {
  const step = shown.outgoing?.progress.step;
  if (step === 'refused') return null;
  if (step === 'queued' || step === 'flying') return <Mark icon="clock" label="Not sent yet" />;
  const { peer } = conversation.state;
  const members = client.members.get(conversation.id)?.map((member) => member.user) ?? (peer ? [peer] : []);
  const others = members.filter((user) => user !== client.me.id);
  const readers = shown.seq ? client.hints.readers(conversation.id, shown.seq, others) : 0;
  if (!readers || !others.length) return <Mark icon="check" label="Sent" />;
  const label = peer ? 'Read' : `Read by ${readers} of ${others.length}`;
  return <Mark icon="checks" label={label} seen={readers === others.length} />;
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

function Actions({ client, conversation, shown, onIntent }: Props & { client: Client }) {
  const [picking, setPicking] = useState(false);
  const { role, peer, dissolved } = conversation.state;
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
