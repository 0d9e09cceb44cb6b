// Endpoints that are told of what happens in the organisation: made, tried, removed.

import { type FormEvent, useState } from 'react';

import { stamp } from '../../../chat/ui/format';
import type { Company } from '../../company';
import { endWebhook, EVENTS, type Key, keysOf, makeWebhook, testWebhook, type Webhook, webhooksOf } from '../../integrations';
import { Checks } from '../Checks';
import { Confirm } from '../Confirm';
import { Part, Waiting } from '../Part';
import { useLoaded, useTask } from '../useTask';

export function Webhooks({ company }: { company: Company }) {
  const { value, problem, again } = useLoaded(async () => {
    const [keys, webhooks] = await Promise.all([keysOf(company), webhooksOf(company)]);
    return { keys, webhooks };
  }, company);
  if (!value) return <Waiting problem={problem} onAgain={again} />;
  const { keys, webhooks } = value;
  return (
    <>
      <Part title="New webhook" about="Events come in order by POST, signed with an API key as LiveKit signs them. What is not answered with 2xx is tried again for a day.">
        <NewWebhook company={company} keys={keys.filter((key) => !key.revoked_s)} onMade={again} />
      </Part>
      <Part title="Webhooks">
        {problem && <p className="refused" role="alert">{problem}</p>}
        {webhooks.length === 0 && <p className="dim">There are none yet.</p>}
        <ul className="rows" aria-label="Webhooks">
          {webhooks.map((webhook) => (
            <Row key={webhook.id} company={company} webhook={webhook} signer={keys.find((key) => key.id === webhook.key)} onChanged={again} />
          ))}
        </ul>
        <div className="buttons">
          <button type="button" className="link" onClick={again}>
            Look again
          </button>
        </div>
      </Part>
    </>
  );
}

interface RowProps {
  company: Company;
  webhook: Webhook;
  signer?: Key;
  onChanged: () => void;
}

function Row({ company, webhook, signer, onChanged }: RowProps) {
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const { id, url, events, waiting, made_s } = webhook;
  const test = () =>
    run(async () => {
      setSaid('');
      const { delivered, error } = await testWebhook(company, id);
      if (!delivered) throw new Error(`The test did not arrive: ${error ?? 'the endpoint did not take it'}.`);
      setSaid('The test has arrived.');
    });
  return (
    <li>
      <div className="grow">
        <strong className="address">{url}</strong> {events.map((event) => <span key={event} className="tag">{event}</span>)}
        <p className="dim">
          {signer?.revoked_s ? `Its key “${signer.title}” was revoked: nothing is sent` : `Signed with “${signer?.title ?? webhook.key}”`} · made {stamp(made_s * 1000)}
        </p>
        {waiting > 0 && <p className="refused">{waiting === 1 ? 'One event waits' : `${waiting} events wait`}: the endpoint does not take them.</p>}
        {problem && <p className="refused" role="alert">{problem}</p>}
        {said && <p className="dim" role="status">{said}</p>}
      </div>
      <div className="buttons">
        <button type="button" className="secondary" disabled={busy} onClick={() => void test()}>
          Send a test
        </button>
        <Confirm action="Remove" sure="Yes, remove this webhook" busy={busy} onSure={() => void run(() => endWebhook(company, id).then(onChanged))} />
      </div>
    </li>
  );
}

function NewWebhook({ company, keys, onMade }: { company: Company; keys: Key[]; onMade: () => void }) {
  const [url, setUrl] = useState('');
  const [key, setKey] = useState('');
  const [events, setEvents] = useState<string[]>([]);
  const { busy, problem, run } = useTask();
  const signer = keys.some(({ id }) => id === key) ? key : (keys[0]?.id ?? '');
  const make = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await makeWebhook(company, { url: url.trim(), key: signer, events });
      setUrl('');
      setEvents([]);
      onMade();
    });
  };
  if (!keys.length) {
    return (
      <p className="dim">
        An API key has to sign them. <a href="#me=keys">Make one first.</a>
      </p>
    );
  }
  return (
    <form className="fields" onSubmit={make} aria-label="New webhook">
      <label className="field">
        Address, https and on the internet
        <input type="url" aria-label="Address" value={url} maxLength={1024} required autoComplete="off" placeholder="https://example.com/hook" onChange={(event) => setUrl(event.target.value)} />
      </label>
      <label className="field">
        API key that signs
        <select aria-label="API key that signs" value={signer} onChange={(event) => setKey(event.target.value)}>
          {keys.map(({ id, title }) => (
            <option key={id} value={id}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <Checks label="What it is told of" options={EVENTS} chosen={events} onChange={setEvents} />
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || !url.trim() || !events.length}>
          Make webhook
        </button>
      </div>
    </form>
  );
}
