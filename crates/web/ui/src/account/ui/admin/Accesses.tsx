// What members asked the server for, for those who are there for the audit.

import { useState } from 'react';

import type { Company } from '../../company';
import { accessPage } from '../../records';
import { More } from '../More';
import { Part, Waiting } from '../Part';
import { useNames } from '../useNames';
import { usePages } from '../usePages';

import { AccessTable } from './AccessTable';

/** `#me=accesses&of=17`: of one member. */
const asked = () => Number(new URLSearchParams(location.hash.replace(/^#/, '')).get('of')) || 0;

export function Accesses({ company }: { company: Company }) {
  const [of, setOf] = useState(asked);
  const pages = usePages((cursor) => accessPage(company, of, cursor), `${company.org.id} ${of}`);
  const { rows, problem, again } = pages;
  const accounts = (rows ?? []).map(({ account = 0 }) => account).concat(of);
  const nameOf = useNames(company, [...new Set(accounts)].filter((account) => account > 0));
  return (
    <Part title="Access log" about="Which routes members asked for, when and from where; not of what. The server keeps it for some days. That you read it is in the audit log.">
      <div className="buttons">
        <button type="button" className="secondary" onClick={again}>
          Look again
        </button>
        {of > 0 && (
          <>
            <span className="dim" role="status">Only of {nameOf(of)}.</span>
            <button type="button" className="link" onClick={() => setOf(0)}>
              Show everybody
            </button>
          </>
        )}
      </div>
      {!rows && <Waiting problem={problem} onAgain={again} />}
      {rows && problem && <p className="refused" role="alert">{problem}</p>}
      {rows?.length === 0 && <p className="dim">There is nothing here, as far as this page goes.</p>}
      {rows && rows.length > 0 && <AccessTable rows={rows} nameOf={nameOf} onName={setOf} />}
      <More pages={pages} />
    </Part>
  );
}
