// Somebody calls: heard and seen until it is answered, here or on another device.

import { useEffect, useRef } from 'react';

import { Icon } from '../../icons';
import type { CallState } from '../../wire/im.gen';

import { Avatar } from './Avatar';
import { looksAt, show } from './notice';
import { ring } from './tones';
import { useClient } from './useClient';

interface Props {
  call: CallState;
  onAccept: (video: boolean) => void;
  onDecline: () => void;
}

export function Ringing({ call, onAccept, onDecline }: Props) {
  const client = useClient();
  const name = client.people.name(call.caller);
  const conversation = client.replica.conversation(call.conv);
  const where = conversation && !conversation.state.peer ? ` in ${client.titleOf(conversation)}` : '';
  const card = useRef<HTMLDivElement>(null);
  useEffect(ring, [call.callId]);
  const what = `${call.video ? 'Video call' : 'Call'}${where}`;
  useEffect(() => {
    if (looksAt(call.conv)) return undefined;
    const onOpen = () => undefined; // the call is on the page, wherever that is
    return show({ title: `${name} is calling`, body: what }, { tag: call.callId, stays: true, onOpen });
  }, [call.callId, call.conv, name, what]);
  useEffect(() => {
    // So that a screen reader says it and Tab leads to the answers; whoever writes goes on writing.
    const writes = document.activeElement?.matches('input, textarea, select, [contenteditable]');
    if (!writes) card.current?.focus();
  }, [call.callId]);
  return (
    <div ref={card} className="ringing" role="alertdialog" aria-label={`${name} is calling`} aria-describedby="ringing-what" tabIndex={-1}>
      <Avatar name={name} id={call.caller} user={call.caller} />
      <div className="grow" role="alert">
        <strong>{name}</strong>
        <p className="dim" id="ringing-what">
          {what}
        </p>
      </div>
      <button type="button" className="round decline" aria-label="Decline" title="Decline" onClick={onDecline}>
        <Icon name="leave" />
      </button>
      {call.video && (
        <button type="button" className="round" aria-label="Accept without camera" title="Accept without camera" onClick={() => onAccept(false)}>
          <Icon name="phone" />
        </button>
      )}
      <button type="button" className="round accept" aria-label="Accept" title="Accept" onClick={() => onAccept(call.video)}>
        <Icon name={call.video ? 'camera' : 'phone'} />
      </button>
    </div>
  );
}
