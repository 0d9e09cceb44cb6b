// Somebody calls: heard and seen until it is answered, here or on another device.

import { useEffect } from 'react';

import { Icon } from '../../icons';
import type { CallState } from '../../wire/im.gen';

import { Avatar } from './Avatar';
import { useClient } from './useClient';

interface Props {
  call: CallState;
  onAccept: () => void;
  onDecline: () => void;
}

export function Ringing({ call, onAccept, onDecline }: Props) {
  const client = useClient();
  const name = client.people.name(call.caller);
  const conversation = client.replica.conversation(call.conv);
  const where = conversation && !conversation.state.peer ? ` in ${client.titleOf(conversation)}` : '';
  useEffect(ring, [call.callId]);
  return (
    <div className="ringing" role="alertdialog" aria-label={`${name} is calling`}>
      <Avatar name={name} id={call.caller} />
      <div className="grow">
        <strong>{name}</strong>
        <p className="dim">is calling{where}</p>
      </div>
      <button type="button" className="round decline" aria-label="Decline" title="Decline" onClick={onDecline}>
        <Icon name="leave" />
      </button>
      <button type="button" className="round accept" aria-label="Accept" title="Accept" onClick={onAccept}>
        <Icon name="phone" />
      </button>
    </div>
  );
}

const RING_MS = 2_000;

/** Two tones, again and again. Silent where the browser allows no sound yet. */
function ring() {
  const context = new AudioContext();
  const tone = (hertz: number, after: number) => {
    const [oscillator, gain] = [context.createOscillator(), context.createGain()];
    const from = context.currentTime + after;
    oscillator.frequency.value = hertz;
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(0.12, from + 0.03);
    gain.gain.linearRampToValueAtTime(0, from + 0.35);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(from);
    oscillator.stop(from + 0.4);
  };
  const both = () => {
    tone(660, 0);
    tone(880, 0.25);
  };
  both();
  const timer = setInterval(both, RING_MS);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}
