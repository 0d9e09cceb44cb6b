// The messages of a conversation: the newest at the foot, older ones as one scrolls up, and what was seen is marked as read.

import { useCallback, useEffect, useLayoutEffect, useRef } from 'react';

import { Icon } from '../../icons';
import type { Client } from '../client';
import type { Conversation } from '../replica/conversation';

import { day } from './format';
import { Message } from './Message';
import { Refusals } from './Refusals';
import type { Intent } from './Thread';
import { Uploading } from './Uploading';
import { useClient } from './useClient';
import { items } from './view';

/** So close to the foot counts as at the foot. */
const FOOT_PX = 60;
/** Older messages are asked for before the top is reached. */
const AHEAD_PX = 400;

interface Props {
  conversation: Conversation;
  onIntent: (intent: Intent) => void;
}

export function Messages({ conversation, onIntent }: Props) {
  const client = useClient();
  const conv = conversation.id;
  const list = useRef<HTMLDivElement>(null);
  const atFoot = useRef(true);
  const height = useRef(0);
  const all = items(conversation, client.replica.outgoing(conv), client.people, client.me.id);
  const { cursor, state } = conversation;
  const foot = useRef(cursor);
  foot.current = cursor;
  const { role, dissolved } = state;
  const cursors = readCursors(client, conversation);
  const { atStart, from } = conversation.bounds();

  const look = useCallback(() => {
    const element = list.current;
    if (!element) return;
    atFoot.current = element.scrollHeight - element.scrollTop - element.clientHeight < FOOT_PX;
    if (element.scrollTop < AHEAD_PX) client.loadOlder(conv);
    if (atFoot.current) client.atFoot(conv);
    if (atFoot.current && document.visibilityState === 'visible') client.read(conv, foot.current);
    // Not the conversation itself, which is another one when this tab goes on after another: who reads is not to be moved.
  }, [client, conv]);

  // At the foot it stays there; elsewhere what is read stays in place when older messages come in above it.
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    if (atFoot.current) element.scrollTop = element.scrollHeight;
  }, [all.length, cursor]);
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    if (!atFoot.current) element.scrollTop += element.scrollHeight - height.current;
    height.current = element.scrollHeight;
  }, [from]);
  useEffect(look, [look, cursor, client.phase, from]);
  useEffect(() => {
    height.current = list.current?.scrollHeight ?? 0;
  });
  useEffect(() => {
    atFoot.current = true;
    const element = list.current;
    if (element) element.scrollTop = element.scrollHeight;
    document.addEventListener('visibilitychange', look);
    // Pictures and phone keyboards change heights without a message.
    const resized = new ResizeObserver(() => {
      if (atFoot.current && element) element.scrollTop = element.scrollHeight;
    });
    if (element?.firstElementChild) resized.observe(element.firstElementChild);
    if (element) resized.observe(element);
    return () => {
      document.removeEventListener('visibilitychange', look);
      resized.disconnect();
    };
  }, [look]);

  return (
    <div className="messages" ref={list} onScroll={look} tabIndex={-1}>
      <ol role="log" aria-label="Messages">
        {!atStart && <li className="note">Loading older messages…</li>}
        {all.map((item) => {
          if (item.kind === 'day') {
            return (
              <li key={item.key} className="day">
                <span>{day(item.atMs, Date.now())}</span>
              </li>
            );
          }
          if (item.kind === 'note') {
            return (
              <li key={item.key} className={item.call ? `note call-note${item.call.missed ? ' missed' : ''}` : 'note'}>
                {item.call && <Icon name={item.call.video ? 'camera' : 'phone'} />}
                {item.text}
              </li>
            );
          }
          const { shown } = item;
          const readers = shown.sender === client.me.id && shown.seq ? cursors.filter((seq) => seq >= shown.seq).length : 0;
          const about = { conversation, name: client.people.name(shown.sender), others: cursors.length, readers, role, dissolved, onIntent };
          return <Message key={item.key} shown={shown} {...about} />;
        })}
        {client.uploads.of(conv).map(({ upload, progress, problem }) => (
          <Uploading key={upload.clientId} upload={upload} progress={progress} problem={problem} />
        ))}
        <Refusals conversation={conversation} />
      </ol>
    </div>
  );
}

/** How far the others in a conversation have read. */
function readCursors(client: Client, { id, state }: Conversation): number[] {
  const members = client.members.get(id)?.map((member) => member.user) ?? (state.peer ? [state.peer] : []);
  return client.hints.readCursors(id, members.filter((user) => user !== client.me.id));
}
