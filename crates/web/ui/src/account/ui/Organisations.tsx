// In whose name one chats: an organisation that one is in, is invited to, or founds.

import { type FormEvent, useCallback, useEffect, useState } from 'react';

import type { Login, Organisation } from '../login';

interface Props {
  login: Login;
  onChosen: (org: Organisation) => void;
  onSignOut: () => void;
}

interface Invitation {
  id: number;
  title: string;
  needs_approval: boolean;
}

export function Organisations({ login, onChosen, onSignOut }: Props) {
  const [own, setOwn] = useState<Organisation[]>();
  const [invited, setInvited] = useState<Invitation[]>([]);
  const [title, setTitle] = useState('');
  const [words, setWords] = useState('');
  const [busy, setBusy] = useState(false);

  const attempt = useCallback(async (work: () => Promise<void>) => {
    setBusy(true);
    setWords('');
    await work().catch((error: unknown) => setWords(error instanceof Error ? error.message : String(error)));
    setBusy(false);
  }, []);
  const load = useCallback(async () => {
    const { organisations } = await login.get<{ organisations: Organisation[] }>('/v1/organisations');
    const { invitations } = await login.get<{ invitations: Invitation[] }>('/v1/me/invitations');
    setOwn(organisations);
    setInvited(invitations);
    return { organisations, invitations };
  }, [login]);
  useEffect(() => {
    void attempt(async () => {
      const { organisations, invitations } = await load();
      // With one, and nothing to decide, there is nothing to choose.
      const [only] = organisations;
      if (only && organisations.length === 1 && !invitations.length) onChosen(only);
    });
  }, [attempt, load, onChosen]);

  const accept = (invitation: Invitation) =>
    attempt(async () => {
      const { organisation } = await login.post<{ organisation?: number | null }>(`/v1/me/invitations/${invitation.id}/accept`);
      const { organisations } = await load();
      const joined = organisations.find((one) => one.id === organisation);
      if (joined) onChosen(joined);
      else setWords(`${invitation.title} has been asked. You are in as soon as somebody there agrees.`);
    });
  const found = (event: FormEvent) => {
    event.preventDefault();
    void attempt(async () => {
      const { id } = await login.create<{ id: number }>('/v1/organisations', { title: title.trim() });
      const { organisations } = await load();
      const made = organisations.find((one) => one.id === id);
      if (made) onChosen(made);
    });
  };

  return (
    <main className="lobby sign-in">
      <header>
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>Your organisation</h1>
        <p>Hello {login.account.display_name}.</p>
      </header>
      <div className="card narrow">
        {words && <p className="refused" role="alert">{words}</p>}
        {!own && !words && <p className="dim">Looking…</p>}
        {own?.map((org) => (
          <button key={org.id} type="button" className="secondary" disabled={busy} onClick={() => onChosen(org)}>
            {org.title}
          </button>
        ))}
        {invited.map((invitation) => (
          <button key={invitation.id} type="button" className="primary" disabled={busy} onClick={() => void accept(invitation)}>
            Join {invitation.title}
          </button>
        ))}
        {own && (
          <form className="found" onSubmit={found}>
            <label>
              Name of a new organisation
              <input value={title} maxLength={80} required onChange={(event) => setTitle(event.target.value)} />
            </label>
            <button type="submit" className="secondary" disabled={busy || !title.trim()}>
              Found it
            </button>
          </form>
        )}
        <p className="hint">
          Somebody who runs an organisation can invite your number, {login.account.phone}.
          <button type="button" className="link" onClick={() => void attempt(async () => void (await load()))}>
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
