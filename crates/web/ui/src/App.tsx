// Three pages: chat, the lobby of a room, and the call in it.

import { useCallback, useEffect, useState } from 'react';

import { LateCall, loadCall } from './call/LateCall';
import { Home } from './chat/ui/Home';
import { Lobby } from './call/Lobby';
import type { Problem } from './problems';
import { readLink, showRoom } from './link';
import type { Seat } from './call/seat';

/** Until then the connection is for what is shown first. */
const QUIET_MS = 2_000;

export function App() {
  const [seat, setSeat] = useState<Seat>();
  const [problem, setProblem] = useState<Problem>();
  const [link, setLink] = useState(readLink);

  useEffect(() => {
    const follow = () => setLink(readLink());
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, []);

  useEffect(() => {
    const timer = setTimeout(() => void loadCall().catch(() => undefined), link.lobby ? 0 : QUIET_MS);
    return () => clearTimeout(timer);
  }, [link.lobby]);

  const enter = useCallback((next: Seat) => {
    setProblem(undefined);
    // By a token nobody else comes in, so that seat has a title and no room to invite to.
    if (next.room) showRoom(next.room);
    else if (next.title) showRoom(next.title, next.token);
    setSeat(next);
  }, []);
  const leave = useCallback((why?: Problem) => {
    setProblem(why);
    setSeat(undefined);
  }, []);

  useEffect(() => {
    const name = seat?.title || seat?.room;
    if (seat || link.lobby) document.title = name ? `${name} · Convene` : 'Convene';
  }, [seat, link]);

  if (seat) return <LateCall key={seat.token} seat={seat} onLeave={leave} />;
  if (!link.lobby) return <Home link={link} />;
  // A followed link is another lobby: its fields start from the link.
  return <Lobby key={link.room + link.token} link={link} problem={problem} onEnter={enter} />;
}
