// Chat on the screen: the list, the open conversation, and a call beside it.

import { useCallback, useEffect, useState } from 'react';

import { Call } from '../../Call';
import { Notice } from '../../Notice';
import type { Problem } from '../../problems';
import { type Seat, SeatRefused, askForSeat } from '../../seat';
import { useOnline } from '../../useOnline';

import { NewConversation } from './NewConversation';
import { Sidebar } from './Sidebar';
import { Thread } from './Thread';
import { useClient } from './useClient';

interface Props {
  /** The conversation that the address names, or 0. */
  open: number;
  onSignOut: () => void;
}

export function ChatPage({ open, onSignOut }: Props) {
  const client = useClient();
  const [making, setMaking] = useState(false);
  const [call, setCall] = useState<{ conv: number; seat: Seat }>();
  const [problem, setProblem] = useState<Problem>();
  const unread = client.replica.conversations().reduce((sum, { state }) => sum + state.unread, 0);
  useEffect(() => {
    document.title = unread ? `(${unread}) Convene` : 'Convene';
  }, [unread]);

  const begin = async (conv: number) => {
    setProblem(undefined);
    const conversation = client.replica.conversation(conv);
    if (!conversation) return;
    try {
      const room = `conversation-${conv}`;
      const seat = await askForSeat(room, client.people.name(client.me.id));
      setCall({ conv, seat: { ...seat, room, title: client.titleOf(conversation), camera: true, microphone: true } });
    } catch (error) {
      if (error instanceof SeatRefused) setProblem(error.problem);
    }
  };
  const leave = useCallback((why?: Problem) => {
    setProblem(why);
    setCall(undefined);
  }, []);

  const classes = ['chat', open && 'has-open', call && 'has-call'].filter(Boolean).join(' ');
  return (
    <div className={classes} data-phase={client.phase} data-transport={client.transport}>
      <Banner />
      {problem && <Notice problem={problem} onClose={() => setProblem(undefined)} />}
      <div className="panes">
        <Sidebar open={open} onNew={() => setMaking(true)} onSignOut={onSignOut} />
        {call && <Call key={call.seat.token} seat={call.seat} onLeave={leave} />}
        {open ? (
          <Thread key={open} conv={open} inCall={call !== undefined} onCall={() => void begin(open)} />
        ) : (
          !call && (
            <section className="thread nothing">
              <p>Choose a conversation, or start one.</p>
            </section>
          )
        )}
      </div>
      {making && (
        <NewConversation
          onClose={() => setMaking(false)}
          onMade={(conv) => {
            setMaking(false);
            location.hash = `c=${conv}`;
          }}
        />
      )}
    </div>
  );
}

/** Says so while what is shown may not be all there is. */
function Banner() {
  const client = useClient();
  const online = useOnline();
  // A short cut is nobody's business: only one that lasts is told.
  const [late, setLate] = useState(false);
  const { phase } = client;
  useEffect(() => {
    setLate(false);
    if (phase !== 'connecting') return undefined;
    const timer = setTimeout(() => setLate(true), 1_500);
    return () => clearTimeout(timer);
  }, [phase]);
  if (phase === 'replaced') {
    return (
      <div className="banner" role="status">
        Chat is open in another tab or window of this browser.
        <button type="button" className="link" onClick={() => client.takeOver()}>
          Use it here
        </button>
      </div>
    );
  }
  if (phase !== 'connecting' || (online && !late)) return null;
  return (
    <div className="banner" role="status">
      <span className="spinner" aria-hidden="true" />
      {online ? 'Connecting to the server…' : 'This device is offline. What you write is sent when it is back.'}
    </div>
  );
}
