// Chat on the screen: the list, what is open beside it, and a call.

import { useEffect, useState } from 'react';

import { Person } from '../../account/ui/directory/Person';
import { Settings } from '../../account/ui/settings/Settings';
import { LateCall } from '../../call/LateCall';
import type { Link } from '../../link';
import { Notice } from '../../Notice';
import { problem } from '../../problems';
import { useOnline } from '../../useOnline';
import { Notices } from '../notices';

import { NewConversation } from './NewConversation';
import { looksAt, pageTitle, show, words } from './notice';
import { Ringing } from './Ringing';
import { Sidebar } from './Sidebar';
import { Thread } from './Thread';
import { type Calls, useCalls } from './useCalls';
import { useClient } from './useClient';
import { useNewer } from './useNewer';

const FULL = problem(
  'outbox_full',
  'This was not taken: too many messages wait to be sent',
  'A message stays where you wrote it. Send it again when some of the others have gone out, or discard those that the server refused.',
);

interface Props {
  link: Link;
  onSwitch: () => void;
  /** `why`: what is left to say then. */
  onSignOut: (why?: string) => void;
}

export function ChatPage({ link, onSwitch, onSignOut }: Props) {
  const client = useClient();
  const [making, setMaking] = useState(false);
  const calls = useCalls(client);
  const { ongoing, ringing } = calls;
  useEffect(() => {
    const notices = new Notices(client, (conversation, event) => words(client, conversation, event), show, looksAt);
    return () => notices.stop();
  }, [client]);
  const unread = client.replica.conversations().reduce((sum, { state }) => sum + state.unread, 0);
  const title = pageTitle(unread, ringing && client.people.name(ringing.caller));
  useEffect(() => {
    document.title = title;
  }, [title]);

  const { company } = client.account;
  const open = link.conv > 0 || (company !== undefined && (link.person > 0 || link.me));
  const classes = ['chat', open && 'has-open', ongoing && 'has-call'].filter(Boolean).join(' ');
  return (
    <div className={classes} data-phase={client.phase} data-transport={client.transport}>
      <Banner inCall={ongoing !== undefined} />
      {calls.problem && <Notice problem={calls.problem} onClose={calls.dismiss} />}
      {client.full && <Notice problem={FULL} onClose={() => client.dismissFull()} />}
      {ringing && <Ringing key={ringing.callId} call={ringing} onAccept={(video) => void calls.accept(ringing, video)} onDecline={() => void calls.decline(ringing)} />}
      <div className="panes">
        <Sidebar link={link} onNew={() => setMaking(true)} onSignOut={() => onSignOut()} />
        {ongoing && <LateCall key={ongoing.seat.token} seat={ongoing.seat} note={calls.note} onLeave={calls.leave} />}
        {open ? (
          <Open link={link} calls={calls} onSwitch={onSwitch} onSignOut={onSignOut} />
        ) : (
          !ongoing && (
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

function Open({ link, calls, onSwitch, onSignOut }: Props & { calls: Calls }) {
  const { company } = useClient().account;
  if (link.conv) return <Thread key={link.conv} conv={link.conv} calls={calls} />;
  if (!company) return null;
  if (link.person) return <Person key={link.person} company={company} account={link.person} calls={calls} />;
  return <Settings company={company} onSwitch={onSwitch} onSignOut={onSignOut} />;
}

/** Says so while what is shown may not be all there is, and when there is a newer page. */
function Banner({ inCall }: { inCall: boolean }) {
  const client = useClient();
  const online = useOnline();
  const newer = useNewer(client.isOnline);
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
  if (newer && !inCall && client.isOnline) {
    return (
      <div className="banner" role="status">
        The server has a newer version of this page.
        <button type="button" className="link" onClick={() => location.reload()}>
          Reload
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
