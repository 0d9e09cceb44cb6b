// A conversation's members and settings, and what one may change of them.

import { type FormEvent, useEffect, useState } from 'react';

import { Icon } from '../../icons';
import { type Member, Role } from '../../wire/im.gen';
import { isQuiet } from '../notices';
import type { Conversation } from '../replica/conversation';

import { Avatar } from './Avatar';
import { roleName } from './notes';
import { PeopleField } from './PeopleField';
import { Refusals } from './Refusals';
import { useClient } from './useClient';

export function Details({ conversation, onClose }: { conversation: Conversation; onClose: () => void }) {
  const client = useClient();
  const { id, state } = conversation;
  const online = client.isOnline;
  useEffect(() => {
    if (online) void client.loadMembers(id);
  }, [client, id, online]);
  const members = client.members.get(id) ?? [];
  const admin = !state.peer && state.role >= Role.ADMIN && !state.dissolved;
  const quiet = isQuiet(conversation);
  const set = (change: { mutedUntilMs?: number; pinned?: boolean }) => void client.change({ conv: id, ...change }).catch(() => undefined);
  const leave = () => client.send(id, { kind: { case: 'members', value: { remove: [client.me.id] } } });
  return (
    <div className="details">
      <ul className="refusals">
        <Refusals conversation={conversation} />
      </ul>
      <div className="switches">
        <label>
          <input type="checkbox" checked={quiet} disabled={!online} onChange={() => set({ mutedUntilMs: quiet ? 0 : -1 })} /> Do not disturb
        </label>
        <label>
          <input type="checkbox" checked={state.settings.pinned ?? false} disabled={!online} onChange={() => set({ pinned: !state.settings.pinned })} /> Pin to the top
        </label>
      </div>
      {state.announcement && <p className="announcement">{state.announcement}</p>}
      {admin && <Rename conversation={conversation} />}
      {admin && <AddMembers conversation={conversation} />}
      <h2>{state.peer ? 'Who is here' : `${state.memberCount} members`}</h2>
      <ul className="members">
        {members.map((member) => (
          <MemberRow key={member.user} conversation={conversation} member={member} admin={admin} />
        ))}
      </ul>
      {members.length < state.memberCount && members.length > 0 && <p className="dim">And {state.memberCount - members.length} more.</p>}
      <div className="buttons">
        <button type="button" className="secondary" onClick={onClose}>
          Back to messages
        </button>
        {!state.peer && state.role > Role.UNSPECIFIED && (
          <button type="button" className="secondary danger" onClick={leave}>
            Leave the group
          </button>
        )}
      </div>
    </div>
  );
}

function MemberRow({ conversation, member, admin }: { conversation: Conversation; member: Member; admin: boolean }) {
  const client = useClient();
  const { id, state } = conversation;
  const name = client.people.name(member.user);
  const me = member.user === client.me.id;
  const owner = state.role === Role.OWNER;
  const mayChange = admin && !me && (owner || member.role < state.role);
  const change = (value: { remove?: number[]; role?: { user: number; role: Role }[] }) => client.send(id, { kind: { case: 'members', value } });
  const make = (role: Role) => change({ role: [{ user: member.user, role }] });
  return (
    <li>
      <Avatar name={name} id={member.user} user={member.user} online={me ? client.isOnline : client.hints.online(member.user)} />
      <span className="grow">
        {name}
        {me && ' (you)'}
        {!state.peer && member.role > Role.MEMBER && <span className="dim"> · {roleName(member.role)}</span>}
      </span>
      {mayChange && owner && (
        <button type="button" className="link" onClick={() => make(member.role === Role.MEMBER ? Role.ADMIN : Role.MEMBER)}>
          {member.role === Role.MEMBER ? 'Make admin' : 'Make member'}
        </button>
      )}
      {mayChange && owner && member.role < Role.OWNER && (
        <button type="button" className="link" onClick={() => make(Role.OWNER)}>
          Make owner
        </button>
      )}
      {mayChange && (
        <button type="button" className="plain" aria-label={`Remove ${name}`} title={`Remove ${name}`} onClick={() => change({ remove: [member.user] })}>
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

function Rename({ conversation }: { conversation: Conversation }) {
  const client = useClient();
  const [title, setTitle] = useState(conversation.state.title);
  const rename = (event: FormEvent) => {
    event.preventDefault();
    if (title.trim()) client.send(conversation.id, { kind: { case: 'group', value: { title: title.trim() } } });
  };
  return (
    <form className="inline" onSubmit={rename}>
      <input value={title} maxLength={80} aria-label="Name of the group" onChange={(event) => setTitle(event.target.value)} />
      <button type="submit" className="secondary" disabled={!title.trim() || title === conversation.state.title}>
        Rename
      </button>
    </form>
  );
}

function AddMembers({ conversation }: { conversation: Conversation }) {
  const client = useClient();
  const add = (users: number[]) => {
    const value = { add: users.map((user) => ({ user, role: Role.MEMBER, withHistory: true })) };
    client.send(conversation.id, { kind: { case: 'members', value } });
  };
  return <PeopleField action="Add" onPick={(users) => add(users.map((user) => user.id))} />;
}
