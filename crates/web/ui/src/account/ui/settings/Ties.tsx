// The organisation one is in: another one, or out of it.

import { useState } from 'react';

import type { Company } from '../../company';
import { useTask } from '../useTask';

export function Ties({ company, onSwitch }: { company: Company; onSwitch: () => void }) {
  const [sure, setSure] = useState(false);
  const { busy, problem, run } = useTask();
  const leave = () =>
    run(async () => {
      await company.leave();
      onSwitch();
    });
  return (
    <>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="button" className="secondary" onClick={onSwitch}>
          Switch or join another
        </button>
        {sure ? (
          <>
            <button type="button" className="secondary danger" disabled={busy} onClick={() => void leave()}>
              Yes, leave {company.org.title}
            </button>
            <button type="button" className="link" onClick={() => setSure(false)}>
              Stay
            </button>
          </>
        ) : (
          <button type="button" className="secondary danger" onClick={() => setSure(true)}>
            Leave the organisation
          </button>
        )}
      </div>
    </>
  );
}
