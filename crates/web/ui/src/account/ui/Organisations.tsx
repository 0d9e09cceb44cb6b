// In whose name one chats: an organisation that one is in, is invited to, has a link into, or founds.

import { type FormEvent, useCallback, useEffect, useRef, useState } from 'react';

import { Icon } from '../../icons';
import { ApiProblem } from '../api';
import type { Login, Organisation } from '../login';

import { usePolling } from './usePolling';
import { useTask } from './useTask';

interface Props {
  login: Login;
  /** The secret of a link that one came by, or empty. */
  link: string;
  /** The link was used, or is of no use. */
  onLinkDone: () => void;
  /** Why one is to choose again, if that is anything to say. */
  why: string;
  /** With one organisation, and nothing to decide, there is nothing to choose. */
  alone: boolean;
  onChosen: (org: Organisation) => void;
  onSignOut: () => void;
}

interface Invitation {
  id: number;
  title: string;
  needs_approval: boolean;
}

/** One has asked to be let in, and nobody has said yes or no yet. */
interface Asked {
  id: number;
  title: string;
}

interface Accepted {
  organisation?: number | null;
}

/** What stands behind `#join=` in a link, or the text itself. */
export function linkToken(text: string): string {
  return (/[#&]join=([^&\s]+)/.exec(text)?.[1] ?? text).trim();
}

export function Organisations({ login, link, onLinkDone, why, alone, onChosen, onSignOut }: Props) {
  const [own, setOwn] = useState<Organisation[]>();
  const [invited, setInvited] = useState<Invitation[]>([]);
  const [asked, setAsked] = useState<Asked[]>([]);
  const [told, setTold] = useState(why);
  const { busy, problem, run } = useTask();

  const load = useCallback(async () => {
    const { organisations } = await login.get<{ organisations: Organisation[] }>('/v1/organisations');
    const { invitations } = await login.get<{ invitations: Invitation[] }>('/v1/me/invitations');
    const { requests } = await login.get<{ requests: Asked[] }>('/v1/me/join-requests');
    setOwn(organisations);
    setInvited(invitations);
    setAsked(requests);
    return { organisations, invitations };
  }, [login]);
  const enter = async (organisation: number) => {
    const found = (await load()).organisations.find((one) => one.id === organisation);
    if (found) onChosen(found);
  };
  const joined = async ({ organisation }: Accepted, title: string) => {
    if (organisation) return enter(organisation);
    setTold(`${title} has been asked. You are in as soon as somebody there agrees: then look again.`);
    return void (await load());
  };
  const follow = async (token: string) => {
    try {
      await joined(await login.ask('POST', '/v1/invitations/accept', { link_token: token }), 'The organisation');
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.code !== 'already_member') throw error;
      setTold('You are in this organisation already. Choose it here.');
    } finally {
      onLinkDone();
    }
  };
  const begun = useRef(false);
  useEffect(() => {
    // Once, and for each link that comes; the rest is asked again by hand.
    if (begun.current && !link) return;
    begun.current = true;
    void run(async () => {
      const { organisations, invitations } = await load();
      const [only] = organisations;
      if (link) await follow(link);
      else if (alone && only && organisations.length === 1 && !invitations.length) onChosen(only);
    });
  }, [link]);

  // Somebody may invite or let one in meanwhile.
  usePolling(() => busy || void load().catch(() => undefined));

  return (
    <main className="lobby sign-in">
      <header>
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>Your organisation</h1>
        <p>Hello {login.account.display_name}. In whose name do you want to call and write?</p>
      </header>
      <div className="card narrow">
        {told && <p className="told" role="status">{told}</p>}
        {problem && <p className="refused" role="alert">{problem}</p>}
        {!own && !problem && <p className="dim">Looking…</p>}
        {(own?.length ?? 0) > 0 && (
          <ul className="choices" aria-label="Your organisations">
            {own?.map((org) => (
              <li key={org.id}>
                <button type="button" className="choice" disabled={busy} onClick={() => onChosen(org)}>
                  <Icon name="building" /> <span className="grow">{org.title}</span> <Icon name="forward" />
                </button>
              </li>
            ))}
          </ul>
        )}
        {invited.map((invitation) => (
          <button key={invitation.id} type="button" className="primary" disabled={busy} onClick={() => void run(async () => joined(await login.ask('POST', `/v1/me/invitations/${invitation.id}/accept`), invitation.title))}>
            {invitation.needs_approval ? 'Ask to join' : 'Join'} {invitation.title}
          </button>
        ))}
        {asked.map(({ id, title }) => (
          <p key={id} className="hint">
            {title} has to let you in.{' '}
            <button type="button" className="link" disabled={busy} aria-label={`Take back the request to ${title}`} onClick={() => void run(() => login.ask('DELETE', `/v1/me/join-requests/${id}`).finally(load))}>
              Take it back
            </button>
          </p>
        ))}
        {own && (
          <>
            <Line label="Name of a new organisation" action="Create" busy={busy} onEnter={(title) => void run(async () => enter((await login.create<{ id: number }>('/v1/organisations', { title })).id))} />
            <Line label="Invitation link" action="Join" busy={busy} onEnter={(text) => void run(() => follow(linkToken(text)))} />
          </>
        )}
        <p className="hint">Somebody who runs an organisation can also invite your number, {login.account.phone}.</p>
        <p className="ways">
          <button type="button" className="link" disabled={busy} onClick={() => void run(load)}>
            Look again
          </button>
          <button type="button" className="link" onClick={onSignOut}>
            Sign out
          </button>
        </p>
      </div>
    </main>
  );
}

interface LineProps {
  label: string;
  action: string;
  busy: boolean;
  onEnter: (text: string) => void;
}

function Line({ label, action, busy, onEnter }: LineProps) {
  const [text, setText] = useState('');
  const enter = (event: FormEvent) => {
    event.preventDefault();
    onEnter(text.trim());
  };
  return (
    <form className="line-form" onSubmit={enter} aria-label={label}>
      <label>
        {label}
        <span className="inline">
          <input aria-label={label} value={text} maxLength={256} autoComplete="off" required onChange={(event) => setText(event.target.value)} />
          <button type="submit" className="secondary" disabled={busy || !text.trim()}>
            {action}
          </button>
        </span>
      </label>
    </form>
  );
}
