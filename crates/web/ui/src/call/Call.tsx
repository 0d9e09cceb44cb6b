// The call: a banner when something is wrong, tiles, controls.

import { RoomAudioRenderer, RoomContext, StartAudio, useParticipants } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';

import { Controls } from './Controls';
import { Icon } from '../icons';
import { Notice } from '../Notice';
import type { Problem } from '../problems';
import type { Seat } from './seat';
import { Stage } from './Stage';
import { useCall } from './useCall';
import { useOnline } from '../useOnline';

export interface Props {
  seat: Seat;
  /** Besides the state of the connection: who is being rung. */
  note?: string;
  onLeave: (why?: Problem) => void;
}

export function Call({ seat, note, onLeave }: Props) {
  const { room, state, problem, dismiss, toggle } = useCall(seat, onLeave);
  const online = useOnline();
  const banner = bannerFor(state, online);
  return (
    <RoomContext.Provider value={room}>
      <main className="call" data-lk-theme="default" data-state={state}>
        <Header name={seat.title || seat.room || room.name} />
        {banner && (
          <div className="banner" role="status">
            <span className="spinner" aria-hidden="true" /> {banner}
          </div>
        )}
        {!banner && note && (
          <div className="banner" role="status">
            {note}
          </div>
        )}
        {problem && <Notice problem={problem} onClose={dismiss} />}
        <Stage />
        <Controls room={seat.title ? seat.room : seat.room || room.name} toggle={toggle} onLeave={() => onLeave()} />
        <RoomAudioRenderer />
        <StartAudio label="Click to hear the others" className="start-audio" />
      </main>
    </RoomContext.Provider>
  );
}

function Header({ name }: { name: string }) {
  const count = useParticipants().length;
  return (
    <header className="call-header">
      <h1>{name}</h1>
      <span className="count" aria-label={`${count} in the call`}>
        <Icon name="people" /> {count}
      </span>
    </header>
  );
}

function bannerFor(state: ConnectionState, online: boolean): string | undefined {
  switch (state) {
    case ConnectionState.Connecting:
      return 'Joining…';
    case ConnectionState.Reconnecting:
    case ConnectionState.SignalReconnecting:
      return online ? 'Connection interrupted. Reconnecting…' : 'This device is offline. Reconnecting as soon as it is back…';
    case ConnectionState.Connected:
      return online ? undefined : 'This device seems to be offline.';
    case ConnectionState.Disconnected:
      return undefined;
  }
}
