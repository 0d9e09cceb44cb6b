// Lets people into the organisation: one by number, or whoever has a link.

import { type FormEvent, useState } from 'react';

import { Dialog } from '../../../Dialog';
import type { Company } from '../../company';
import { CopyLine } from '../CopyLine';
import { useTask } from '../useTask';

/** People whom one link lets in. */
const USES = 50;

export function joinLink(token: string): string {
  return `${location.origin}${location.pathname}#join=${token}`;
}

export function Invite({ company, onClose }: { company: Company; onClose: () => void }) {
  const [phone, setPhone] = useState('');
  const [ask, setAsk] = useState(false);
  const [link, setLink] = useState('');
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const byNumber = (event: FormEvent) => {
    event.preventDefault();
    setSaid('');
    void run(async () => {
      await company.inviteNumber(phone.trim(), ask);
      setSaid(`Whoever signs in with ${phone.trim()} finds the invitation.`);
      setPhone('');
    });
  };
  const byLink = () => run(async () => setLink(joinLink(await company.inviteByLink(USES, ask))));
  return (
    <Dialog title={`Invite to ${company.org.title}`} onClose={onClose}>
      <form onSubmit={byNumber} aria-label="Invite a number">
        <label className="field">
          Phone number
          <span className="inline">
            <input type="tel" aria-label="Phone number" value={phone} required autoComplete="off" placeholder="+86 138 0013 8000" onChange={(event) => setPhone(event.target.value)} />
            <button type="submit" className="secondary" disabled={busy || !phone.trim()}>
              Invite
            </button>
          </span>
        </label>
      </form>
      <label className="check">
        <input type="checkbox" checked={ask} onChange={(event) => { setAsk(event.target.checked); setLink(''); }} /> Somebody here has to agree before they are in
      </label>
      {link ? (
        <CopyLine label={`Link for up to ${USES} people; it is shown only now`} name={`Link for up to ${USES} people`} value={link} />
      ) : (
        <button type="button" className="secondary" disabled={busy} onClick={() => void byLink()}>
          Make a link
        </button>
      )}
      {problem && <p className="refused" role="alert">{problem}</p>}
      {said && <p className="told" role="status">{said}</p>}
    </Dialog>
  );
}
