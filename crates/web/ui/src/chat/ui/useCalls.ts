// Calls of conversations: begun, answered, left. With an account they ring; with a development token one just comes in.

import { useCallback, useEffect, useState } from 'react';

import { ApiProblem } from '../../account/api';
import type { Problem } from '../../problems';
import { askForSeat, type Seat, SeatRefused } from '../../seat';
import { type CallState, CallStanding } from '../../wire/im.gen';
import type { Client } from '../client';

interface Ongoing {
  conv: number;
  /** Of a call that rings; none with a development token. */
  id?: string;
  seat: Seat;
}

export interface Calls {
  ongoing?: Ongoing;
  /** A call that rings here. */
  ringing?: CallState;
  problem?: Problem;
  dismiss: () => void;
  begin: (conv: number) => Promise<void>;
  accept: (call: CallState) => Promise<void>;
  decline: (call: CallState) => Promise<void>;
  leave: (why?: Problem) => void;
}

/** The room of a conversation, where calls do not ring. */
const roomOf = (conv: number) => `conversation-${conv}`;
const standingOf = (call: CallState | undefined, user: number) => call?.people.find((person) => person.user === user)?.standing;

export function useCalls(client: Client): Calls {
  const [ongoing, setOngoing] = useState<Ongoing>();
  const [problem, setProblem] = useState<Problem>();
  const { login } = client.account;
  const me = client.me.id;

  const attempt = useCallback(async (work: () => Promise<void>) => {
    setProblem(undefined);
    try {
      await work();
    } catch (error) {
      if (error instanceof SeatRefused) setProblem(error.problem);
      else if (error instanceof ApiProblem) setProblem({ code: error.code || 'call_failed', title: 'The call did not come about', action: error.message });
      else throw error;
    }
  }, []);
  const enter = useCallback(
    (conv: number, id: string | undefined, seat: { url: string; token: string }) => {
      const conversation = client.replica.conversation(conv);
      const title = conversation ? client.titleOf(conversation) : 'Call';
      // Nobody comes into a call of accounts by a link.
      const room = id ? '' : roomOf(conv);
      setOngoing({ conv, id, seat: { ...seat, room, title, camera: true, microphone: true } });
    },
    [client],
  );
  const join = useCallback(
    async (conv: number, id: string) => {
      if (login) enter(conv, id, await login.post<{ url: string; token: string }>(`/v1/calls/${id}/join`));
    },
    [login, enter],
  );

  const begin = (conv: number) =>
    attempt(async () => {
      if (!login) return enter(conv, undefined, await askForSeat(roomOf(conv), client.people.name(me)));
      const { id } = await login.post<{ id: string }>('/v1/calls', { conversation: conv, video: true });
      return join(conv, id);
    });
  const accept = (call: CallState) =>
    attempt(async () => {
      await login?.post(`/v1/calls/${call.callId}/accept`);
      location.hash = `c=${call.conv}`;
      await join(call.conv, call.callId);
    });
  const decline = (call: CallState) => attempt(async () => void (await login?.post(`/v1/calls/${call.callId}/decline`)));
  const leave = useCallback(
    (why?: Problem) => {
      setProblem(why);
      setOngoing(undefined);
      const id = ongoing?.id;
      const call = id ? client.calls.get(id) : undefined;
      if (!id || !login || !call) return;
      const others = call.people.filter((person) => person.user !== me);
      const answered = others.some((person) => person.standing === CallStanding.ACCEPTED || person.joinedMs > 0);
      const gaveUp = call.caller === me && !answered;
      // What the server has ended meanwhile needs no leaving.
      void login.post(`/v1/calls/${id}/${gaveUp ? 'cancel' : 'hangup'}`).catch(() => undefined);
    },
    [client, login, me, ongoing],
  );

  // The others have gone, or nobody came: the call is over here as well.
  const id = ongoing?.id;
  const [seen, setSeen] = useState('');
  const live = id !== undefined && client.calls.has(id);
  useEffect(() => {
    if (id && live) setSeen(id);
    else if (id && seen === id && client.isOnline) setOngoing(undefined);
  }, [id, live, seen, client.isOnline]);

  const ringing = ongoing ? undefined : [...client.calls.values()].find((call) => standingOf(call, me) === CallStanding.RINGING);
  return { ongoing, ringing, problem, dismiss: () => setProblem(undefined), begin, accept, decline, leave };
}
