// What was asked for with one's account: whoever sees an address that is not theirs ends that sign-in.

import { useState } from 'react';

import { stamp } from '../../../chat/ui/format';
import type { Login } from '../../login';
import { useLoaded } from '../useTask';

interface Entry {
  at_s: number;
  address: string;
  client: string;
  endpoint: string;
  status: number;
}

/** As many as one looks over at a glance. */
const SHOWN = 20;

export function AccessLog({ login }: { login: Login }) {
  const [open, setOpen] = useState(false);
  if (open) return <Entries login={login} />;
  return (
    <button type="button" className="secondary" onClick={() => setOpen(true)}>
      Show
    </button>
  );
}

function Entries({ login }: { login: Login }) {
  const { value, problem } = useLoaded(() => login.get<{ entries: Entry[] }>('/v1/me/access-log'), login);
  if (!value) return problem ? <p className="refused" role="alert">{problem}</p> : <p className="dim">Looking…</p>;
  return (
    <div className="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">From</th>
            <th scope="col">What</th>
            <th scope="col">Answer</th>
          </tr>
        </thead>
        <tbody>
          {value.entries.slice(0, SHOWN).map((entry, at) => (
            <tr key={at}>
              <td>{stamp(entry.at_s * 1000)}</td>
              <td title={entry.client}>{entry.address}</td>
              <td>{entry.endpoint}</td>
              <td>{entry.status}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
