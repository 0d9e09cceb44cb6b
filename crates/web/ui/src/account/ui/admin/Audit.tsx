// What was done in the organisation, by whom, and whether the log of it is whole.

import { useState } from 'react';

import { fullTime, stamp } from '../../../chat/ui/format';
import type { Company } from '../../company';
import { accountsIn, auditPage, type AuditRecord, checkAudit, type Checkup, particulars, sentence } from '../../records';
import { More } from '../More';
import { Part, Waiting } from '../Part';
import { useNames } from '../useNames';
import { usePages } from '../usePages';
import { useTask } from '../useTask';

export function Audit({ company }: { company: Company }) {
  const pages = usePages((cursor) => auditPage(company, cursor), company);
  const [filter, setFilter] = useState('');
  const { rows, problem, again } = pages;
  const nameOf = useNames(company, accountsIn(rows ?? []));
  const wanted = filter.trim().toLowerCase();
  const shown = rows?.filter((record) => !wanted || `${sentence(record, nameOf)} ${record.address}`.toLowerCase().includes(wanted));
  return (
    <>
      <Part title="Is it whole?" about="Each record has a hash over itself and the one before. Note the last hash elsewhere: nothing before it can change unseen.">
        <Chain company={company} />
      </Part>
      <Part title="Audit log" about="The latest first.">
        <div className="buttons">
          <input type="search" className="filter" aria-label="Filter what is shown" placeholder="Filter what is shown" value={filter} onChange={(event) => setFilter(event.target.value)} />
          <button type="button" className="secondary" onClick={again}>
            Look again
          </button>
        </div>
        {!rows && <Waiting problem={problem} onAgain={again} />}
        {rows && problem && <p className="refused" role="alert">{problem}</p>}
        {shown?.length === 0 && <p className="dim">{rows?.length ? 'Nothing of what is shown is like that.' : 'Nothing was done yet.'}</p>}
        <ol className="records" aria-label="Records">
          {shown?.map((record) => (
            <Row key={record.number} record={record} words={sentence(record, nameOf)} />
          ))}
        </ol>
        <More pages={pages} />
      </Part>
    </>
  );
}

function Row({ record, words }: { record: AuditRecord; words: string }) {
  const at = new Date(record.at_ms);
  const more = particulars(record);
  return (
    <li>
      <p>{words}</p>
      <p className="dim">
        <span title={`Hash ${record.hash}`}>No. {record.number}</span> ·{' '}
        <time dateTime={at.toISOString()} title={fullTime(record.at_ms)}>
          {stamp(record.at_ms)}
        </time>
        {record.address && ` · ${record.address}`}
        {more && ` · ${more}`}
      </p>
    </li>
  );
}

function Chain({ company }: { company: Company }) {
  const [found, setFound] = useState<Checkup>();
  const { busy, problem, run } = useTask();
  return (
    <>
      {problem && <p className="refused" role="alert">{problem}</p>}
      {found?.sound && (
        <p className="told" role="status">
          The log is whole: {found.records} records. The last hash is <code>{found.hash}</code>
        </p>
      )}
      {found && !found.sound && (
        <p className="refused" role="alert">
          The log was changed: {found.fault}. Keep a copy of the database, and ask whoever runs the server.
        </p>
      )}
      <div className="buttons">
        <button type="button" className="secondary" disabled={busy} onClick={() => void run(async () => setFound(await checkAudit(company)))}>
          {busy ? 'Reading all of it…' : 'Check the chain'}
        </button>
      </div>
    </>
  );
}
