// API keys of the organisation: made, shown once, revoked.

import { type FormEvent, useState } from 'react';

import { stamp } from '../../../chat/ui/format';
import type { Company } from '../../company';
import { goodFirst, type Key, KEY_SCOPES, keysOf, type MadeKey, makeKey, revokeKey } from '../../integrations';
import { Checks } from '../Checks';
import { Confirm } from '../Confirm';
import { CopyLine } from '../CopyLine';
import { Part, Waiting } from '../Part';
import { useLoaded, useTask } from '../useTask';

export function Keys({ company }: { company: Company }) {
  const { value, problem, again } = useLoaded(() => keysOf(company), company);
  const task = useTask();
  const revoke = (key: Key) => void task.run(() => revokeKey(company, key.id).then(again));
  return (
    <>
      <Part title="New API key" about="For programs of yours: they sign with its secret. One that is revoked is good no more at once.">
        <NewKey company={company} onMade={again} />
      </Part>
      <Part title="API keys">
        {!value && <Waiting problem={problem} onAgain={again} />}
        {task.problem && <p className="refused" role="alert">{task.problem}</p>}
        {value?.length === 0 && <p className="dim">There are none yet.</p>}
        <ul className="rows" aria-label="API keys">
          {goodFirst(value ?? []).map((key) => (
            <li key={key.id} className={key.revoked_s ? 'ended' : undefined}>
              <div className="grow">
                <strong>{key.title}</strong> {key.scopes.map((scope) => <span key={scope} className="tag">{scope}</span>)}
                <p className="dim">
                  <code>{key.id}</code> · made {stamp(key.made_s * 1000)}
                  {key.revoked_s && ` · revoked ${stamp(key.revoked_s * 1000)}`}
                </p>
              </div>
              {!key.revoked_s && (
                <div className="buttons">
                  <Confirm action="Revoke" sure={`Yes, revoke ${key.title}`} busy={task.busy} onSure={() => revoke(key)} />
                </div>
              )}
            </li>
          ))}
        </ul>
      </Part>
    </>
  );
}

function NewKey({ company, onMade }: { company: Company; onMade: () => void }) {
  const [title, setTitle] = useState('');
  const [scopes, setScopes] = useState<string[]>([]);
  const [made, setMade] = useState<MadeKey>();
  const { busy, problem, run } = useTask();
  const make = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      setMade(await makeKey(company, title.trim(), scopes));
      setTitle('');
      setScopes([]);
      onMade();
    });
  };
  if (made) return <Once made={made} onDone={() => setMade(undefined)} />;
  return (
    <form className="fields" onSubmit={make} aria-label="New API key">
      <label className="field">
        What you call it
        <input value={title} maxLength={128} required autoComplete="off" placeholder="backend" onChange={(event) => setTitle(event.target.value)} />
      </label>
      <Checks label="What it is for" options={KEY_SCOPES} chosen={scopes} onChange={setScopes} />
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || !title.trim() || !scopes.length}>
          Make key
        </button>
      </div>
    </form>
  );
}

/** The secret is shown once: nobody can look it up later. */
function Once({ made, onDone }: { made: MadeKey; onDone: () => void }) {
  return (
    <div className="fields" role="group" aria-label="The new key">
      <p className="told" role="status">
        Copy the secret: it is shown only now, and kept nowhere.
        {made.scopes.includes('rooms') && ` The key is good for rooms whose names begin with “${made.room_prefix}”.`}
      </p>
      <CopyLine label="API key" value={made.id} />
      <CopyLine label="Secret" value={made.secret} />
      <div className="buttons">
        <button type="button" className="secondary" onClick={onDone}>
          I have copied it
        </button>
      </div>
    </div>
  );
}
