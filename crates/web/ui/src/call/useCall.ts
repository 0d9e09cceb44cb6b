// One connection to one room: made with the page, gone with it.

import { ConnectionState, DefaultReconnectPolicy, DisconnectReason, Room, RoomEvent, type RoomOptions } from 'livekit-client';
import { useCallback, useEffect, useRef, useState } from 'react';

import { speaker, withChosen } from './devices';
import { forConnection, forDisconnect } from './endings';
import { type Device, forDevice, type Problem } from '../problems';
import { maySend } from './permissions';
import { mayOpen, type OwnDevice, type Seat } from './seat';

/** Pauses between tries to come back, in ms: the SDK's own at first, then three minutes, as a server takes that is rebooted. No
 *  pause may come near the 20 s within which the next server expects who was in a call that rang. */
const PAUSES = [0, 300, 1_200, 2_700, 4_800, ...Array<number>(36).fill(5_000)];

const OPTIONS: RoomOptions = {
  // Only the quality that a tile can show is sent to it, and only what somebody watches is sent to the server.
  adaptiveStream: true,
  dynacast: true,
  // The SDK leaves at `beforeunload` too, which comes with a link to a mail program as well. That the page goes is told below.
  disconnectOnPageLeave: false,
};

export interface Call {
  room: Room;
  state: ConnectionState;
  /** Faults that do not end the call. */
  problem?: Problem;
  dismiss: () => void;
  /** Turns a device on or off; what goes wrong becomes `problem`. */
  toggle: (device: Device, on: boolean) => Promise<void>;
}

export function useCall(seat: Seat, onLeave: (why?: Problem) => void): Call {
  const [room] = useState(() => new Room({ ...OPTIONS, reconnectPolicy: new DefaultReconnectPolicy(PAUSES), ...speaker() }));
  const [state, setState] = useState<ConnectionState>(ConnectionState.Connecting);
  const [problem, setProblem] = useState<Problem>();
  const leave = useRef(onLeave);
  leave.current = onLeave;
  /** Devices that the join opens. */
  const opening = useRef(new Map<Device, Promise<unknown>>());

  const toggle = useCallback(
    async (device: Device, on: boolean) => {
      await opening.current.get(device);
      try {
        await enable(room, device, on);
        setProblem(undefined);
      } catch (error) {
        setProblem(forDevice(device, error));
      }
    },
    [room],
  );

  useEffect(() => {
    let gone = false;
    let entered = false;
    const changed = (next: ConnectionState) => {
      if (next === ConnectionState.Connected) entered = true;
      setState(next);
    };
    const ended = (reason?: DisconnectReason) => {
      // A failed join ends here too; `connect` below knows the cause.
      if (!gone && entered) leave.current(forDisconnect(reason));
    };
    room.on(RoomEvent.ConnectionStateChanged, changed).on(RoomEvent.Disconnected, ended);
    void enter();
    const unload = () => void room.disconnect();
    window.addEventListener('pagehide', unload);
    return () => {
      gone = true;
      window.removeEventListener('pagehide', unload);
      room.off(RoomEvent.ConnectionStateChanged, changed).off(RoomEvent.Disconnected, ended);
      void room.disconnect();
    };

    async function enter() {
      // Opened and negotiated while the connection is made; each on its own: a missing camera must not keep the microphone off.
      const devices = (['microphone', 'camera'] as const).filter((device) => seat[device] && mayOpen(seat.token, device));
      const opened = devices.map((device) => {
        const fault = bring(room, device, () => gone).then(
          () => undefined,
          // The server may have taken a right that the token names; then there is no button for the device either.
          (error: unknown) => (maySend(room.localParticipant.permissions, device) ? forDevice(device, error) : undefined),
        );
        opening.current.set(device, fault);
        return fault.finally(() => opening.current.delete(device));
      });
      try {
        await room.connect(seat.url, seat.token);
      } catch (error) {
        if (!gone) leave.current(forConnection(error));
        return;
      }
      const faults = await Promise.all(opened);
      if (!gone) setProblem(faults.find((fault) => fault));
    }
  }, [room, seat]);

  return { room, state, problem, dismiss: () => setProblem(undefined), toggle };
}

/** Opens a device, and publishes it as soon as there is a connection. It is given back if the call is over by then. */
async function bring(room: Room, device: OwnDevice, gone: () => boolean) {
  const me = room.localParticipant;
  const tracks =
    device === 'camera'
      ? await withChosen('videoinput', (which) => me.createTracks({ video: which ?? true }))
      : await withChosen('audioinput', (which) => me.createTracks({ audio: which ?? true }));
  const giveBack = () => tracks.forEach((track) => track.stop());
  if (gone()) return giveBack();
  try {
    await Promise.all(tracks.map((track) => me.publishTrack(track)));
  } catch (error) {
    giveBack();
    if (!gone()) throw error;
  }
}

async function enable(room: Room, device: Device, on: boolean) {
  const me = room.localParticipant;
  if (device === 'camera') await withChosen('videoinput', (which) => me.setCameraEnabled(on, which));
  else if (device === 'microphone') await withChosen('audioinput', (which) => me.setMicrophoneEnabled(on, which));
  else await me.setScreenShareEnabled(on, { audio: true, selfBrowserSurface: 'include' });
}
