// Chat on the screen: the list, the open conversation, and a call beside it.

import { useEffect, useState } from 'react';

import { Call } from '../../Call';
import { Notice } from '../../Notice';
import { useOnline } from '../../useOnline';
import type { CallState } from '../../wire/im.gen';

import { NewConversation } from './NewConversation';
import { Ringing } from './Ringing';
import { Sidebar } from './Sidebar';
import { Thread } from './Thread';
import { type Calls, useCalls } from './useCalls';
import { useClient } from './useClient';

interface Props {
  /** The conversation that the address names, or 0. */
  open: number;
  onSignOut: () => void;
}

export function ChatPage({ open, onSignOut }: Props) {
  const client = useClient();
  const [making, setMaking] = useState(false);
  const calls = useCalls(client);
  const { ongoing } = calls;
  const unread = client.replica.conversations().reduce((sum, { state }) => sum + state.unread, 0);
  useEffect(() => {
    document.title = unread ? `(${unread}) Convene` : 'Convene';
  }, [unread]);

  const classes = ['chat', open && 'has-open', ongoing && 'has-call'].filter(Boolean).join(' ');
  return (
    <div className={classes} data-phase={client.phase} data-transport={client.transport}>
      <Banner />
      {calls.problem && <Notice problem={calls.problem} onClose={calls.dismiss} />}
      <div className="panes">
        <Sidebar open={open} onNew={() => setMaking(true)} onSignOut={onSignOut} />
        {ongoing && <Call key={ongoing.seat.token} seat={ongoing.seat} onLeave={calls.leave} />}
        {open ? (
          <Thread key={open} conv={open} inCall={ongoing !== undefined} onCall={() => void calls.begin(open)} />
        ) : (
          !ongoing && (
            <section className="thread nothing">
              <p>Choose a conversation, or start one.</p>
            </section>
          )
        )}
      </div>
      {calls.ringing && <Answer calls={calls} call={calls.ringing} />}
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

function Answer({ calls, call }: { calls: Calls; call: CallState }) {
  return <Ringing call={call} onAccept={() => void calls.accept(call)} onDecline={() => void calls.decline(call)} />;
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
