// All that is known of oneself, as a file.

import { useState } from 'react';

import type { Login } from '../../login';
import { useTask } from '../useTask';

/** How long the browser may take to begin saving what it was given. */
const SAVING_MS = 60_000;

export function DataExport({ login }: { login: Login }) {
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const ask = () =>
    run(async () => {
      setSaid('');
      const response = await login.send('POST', '/v1/me/export');
      const archive = await response.blob().catch(() => {
        throw new Error('The archive broke off on its way. Try again; five a day are made.');
      });
      save(archive, 'convene-export.zip');
      setSaid('Saved as convene-export.zip. Open index.html in it.');
    });
  return (
    <>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="button" className="secondary" disabled={busy} onClick={() => void ask()}>
          {busy ? 'It is being written…' : 'Download everything'}
        </button>
        {said && <span className="dim" role="status">{said}</span>}
      </div>
    </>
  );
}

function save(file: Blob, name: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVING_MS);
}
