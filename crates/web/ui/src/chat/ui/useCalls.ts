// Calls of conversations: begun, answered, left. With an account they ring, and a conversation has a meeting room besides;
// with a development token one just comes in.

import { useCallback, useEffect, useState } from 'react';

import { ApiProblem } from '../../account/api';
import { words } from '../../account/ui/useTask';
import type { Problem } from '../../problems';
import { askForSeat, type Seat, SeatRefused } from '../../call/seat';
import { CallOutcome, type CallState, CallStanding } from '../../wire/im.gen';
import { deviceId } from '../account';
import { hex } from '../bytes';
import type { Client } from '../client';

import { ringBack } from './tones';

interface Ongoing {
  conv: number;
  /** Of a call that rings; none in a meeting room, and none with a development token. */
  id?: string;
  seat: Seat;
}

export interface Calls {
  ongoing?: Ongoing;
  /** A call that rings here. */
  ringing?: CallState;
  /** Who still rings of the call one is in, in words. */
  note?: string;
  problem?: Problem;
  dismiss: () => void;
  begin: (conv: number, video: boolean) => Promise<void>;
  /** Calls people: one in the direct conversation with them, several in a group that is made for it. */
  ring: (users: number[], video: boolean) => Promise<void>;
  /** Into the meeting room of a conversation: nobody is rung. */
  meet: (conv: number) => Promise<void>;
  /** Into a call that is on already. */
  join: (call: CallState) => Promise<void>;
  accept: (call: CallState, video: boolean) => Promise<void>;
  decline: (call: CallState) => Promise<void>;
  leave: (why?: Problem) => void;
}

interface CallView {
  id: string;
  conversation: number;
  video: boolean;
  outcome: string;
}

type SeatView = Pick<Seat, 'url' | 'token'>;

/** The room of a conversation, where calls do not ring. */
const roomOf = (conv: number) => `conversation-${conv}`;

export function useCalls(client: Client): Calls {
  const [ongoing, setOngoing] = useState<Ongoing>();
  /** The call whose end is to be told. Its room ends as well, before or after. */
  const [awaited, setAwaited] = useState<string>();
  const [problem, setProblem] = useState<Problem>();
  const { company } = client.account;
  const login = company?.login;
  const me = client.me.id;

  const attempt = useCallback(async (work: () => Promise<unknown>) => {
    setProblem(undefined);
    try {
      await work();
    } catch (error) {
      const code = error instanceof ApiProblem && error.code ? error.code : 'call_failed';
      setProblem(error instanceof SeatRefused ? error.problem : { code, title: 'The call did not come about', action: words(error) });
    }
  }, []);
  const enter = useCallback(
    (conv: number, id: string | undefined, seat: SeatView, room: string, camera: boolean) => {
      const conversation = client.replica.conversation(conv);
      const title = conversation ? client.titleOf(conversation) : 'Call';
      setAwaited(id);
      setOngoing({ conv, id, seat: { ...seat, room, title, camera, microphone: true } });
    },
    [client],
  );
  /** Nobody comes into a room of accounts by a link, so it has no name to show. */
  const sit = async (conv: number, id: string | undefined, path: string, camera: boolean) => {
    if (login) enter(conv, id, await login.ask<SeatView>('POST', path), '', camera);
  };
  const dial = async (whom: object, video: boolean) => {
    const call = await login?.ask<CallView>('POST', '/v1/calls', { ...whom, video });
    if (!call) return;
    location.hash = `c=${call.conversation}`;
    await sit(call.conversation, call.id, `/v1/calls/${call.id}/join`, video);
  };

  const begin = (conv: number, video: boolean) =>
    attempt(async () => {
      if (login) return dial({ conversation: conv }, video);
      return enter(conv, undefined, await askForSeat(roomOf(conv), client.people.name(me)), roomOf(conv), video);
    });
  const ring = (users: number[], video: boolean) => attempt(() => dial({ users, organisation: company?.org.id }, video));
  const meet = (conv: number) => attempt(() => sit(conv, undefined, `/v1/rooms/${conv}/join`, true));
  const join = ({ conv, callId, video }: CallState) => attempt(() => sit(conv, callId, `/v1/calls/${callId}/join`, video));
  const accept = (call: CallState, video: boolean) =>
    attempt(async () => {
      await login?.ask('POST', `/v1/calls/${call.callId}/accept`);
      location.hash = `c=${call.conv}`;
      await sit(call.conv, call.callId, `/v1/calls/${call.callId}/join`, video);
    });
  const decline = (call: CallState) => attempt(async () => login?.ask('POST', `/v1/calls/${call.callId}/decline`));

  const id = ongoing?.id;
  const leave = useCallback(
    (why?: Problem) => {
      setOngoing(undefined);
      // That the room is gone is how a call ends, and no fault.
      if (id && why?.code === 'room_ended') return;
      setAwaited(undefined);
      setProblem(why);
      // Also while chat is not connected, and how the call stands is not known. What the server has ended needs no leaving.
      if (!login || !id || client.calls.ended(id)) return;
      // A caller whom nobody has answered cancels by it.
      void login.ask('POST', `/v1/calls/${id}/hangup`).catch(() => undefined);
    },
    [client, login, id],
  );
  const over = useCallback(
    (call?: CallState) => {
      setOngoing(undefined);
      setAwaited(undefined);
      setProblem(call && call.caller === me ? unanswered(client, call) : undefined);
    },
    [client, me],
  );
  useEnd(client, awaited, over);

  const call = id ? client.calls.get(id) : undefined;
  const waits = useRings(client, call) && call?.caller === me && isUnanswered(call);
  useEffect(() => (waits ? ringBack() : undefined), [waits]);
  const coming = client.calls.ringing(me, id);
  const ringing = useRings(client, coming) ? coming : undefined;
  return { ongoing, ringing, note: call && noteOf(client, call), problem, dismiss: () => setProblem(undefined), begin, ring, meet, join, accept, decline, leave };
}

/** Notices that the call is over: the others have gone, or nobody came. */
function useEnd(client: Client, id: string | undefined, over: (call?: CallState) => void) {
  const { login } = client.account.company ?? {};
  const ended = id ? client.calls.ended(id) : undefined;
  useEffect(() => {
    if (ended) over(ended);
  }, [ended, over]);
  // After a new connection calls that are on are told anew; of one that is not, only the server knows since when.
  const unknown = id !== undefined && !ended && !client.calls.get(id) && client.isOnline;
  useEffect(() => {
    if (!unknown || !id || !login) return undefined;
    let left = false;
    login.get<CallView>(`/v1/calls/${id}`).then(
      ({ outcome }) => left || outcome === 'ringing' || over(),
      () => undefined, // the room ends as well
    );
    return () => {
      left = true;
    };
  }, [unknown, id, login, over]);
}

/** Whether a call rings, as far as this page can know: without a session it never hears that somebody has answered. */
function useRings(client: Client, call: CallState | undefined): boolean {
  const heard = client.phase === 'online' || client.phase === 'connecting';
  const leftMs = call && heard ? client.calls.ringsForMs(call) : 0;
  const rings = leftMs > 0;
  useEffect(() => {
    if (!call || !rings) return undefined;
    const timer = setTimeout(client.changed, client.calls.ringsForMs(call) + 1);
    return () => clearTimeout(timer);
  }, [client, call, rings]);
  return rings;
}

/** A call of the conversation that goes on without this device. */
export function callBeside(client: Client, conv: number, ongoing: string | undefined): { call: CallState; elsewhere: boolean } | undefined {
  const call = client.calls.all().find((one) => one.conv === conv && one.callId !== ongoing);
  const own = call?.people.find((person) => person.user === client.me.id);
  if (!call || own?.standing === CallStanding.RINGING) return undefined;
  return { call, elsewhere: own?.standing === CallStanding.ACCEPTED && hex(own.deviceId) !== hex(deviceId()) };
}

/** Who is in a call. */
export function namesIn(client: Client, call: CallState, standing: CallStanding): string {
  return call.people.filter((person) => person.standing === standing && person.user !== client.me.id).map((person) => client.people.name(person.user)).join(', ');
}

function isUnanswered(call: CallState): boolean {
  return call.people.every(({ user, standing, joinedMs }) => user === call.caller || (standing !== CallStanding.ACCEPTED && !joinedMs));
}

function noteOf(client: Client, call: CallState): string | undefined {
  const ringing = namesIn(client, call, CallStanding.RINGING);
  return ringing ? `Ringing ${ringing}…` : undefined;
}

/** What a caller is told of a call that nobody took. */
function unanswered(client: Client, call: CallState): Problem | undefined {
  const others = call.people.filter((person) => person.user !== call.caller);
  const who = others.length === 1 ? client.people.name(others[0]?.user ?? 0) : 'Everybody';
  const later = 'Write a message, or call again later.';
  switch (call.outcome) {
    case CallOutcome.DECLINED:
      return { code: 'call_declined', title: `${who} declined the call`, action: later };
    case CallOutcome.MISSED:
      return { code: 'call_missed', title: others.length === 1 ? `${who} did not answer` : 'Nobody answered', action: later };
    case CallOutcome.BUSY:
      return { code: 'call_busy', title: `${who} is in another call`, action: later };
    default:
      return undefined;
  }
}
