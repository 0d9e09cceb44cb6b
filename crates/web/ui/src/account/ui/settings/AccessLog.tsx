// What was asked for with one's account: whoever sees an address that is not theirs ends that sign-in.

import { useState } from 'react';

import type { Login } from '../../login';
import type { Access } from '../../records';
import { AccessTable } from '../admin/AccessTable';
import { More } from '../More';
import { Waiting } from '../Part';
import { usePages } from '../usePages';

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
  const pages = usePages(async (cursor) => {
    const { entries, next } = await login.get<{ entries: Access[]; next?: number }>(`/v1/me/access-log${cursor ? `?before=${cursor}` : ''}`);
    return { rows: entries, next: next?.toString() };
  }, login);
  if (!pages.rows) return <Waiting problem={pages.problem} onAgain={pages.again} />;
  return (
    <>
      <AccessTable rows={pages.rows} />
      {pages.problem && <p className="refused" role="alert">{pages.problem}</p>}
      <More pages={pages} />
    </>
  );
}
