// A colleague in one's own address book, with a note that nobody else sees.

import { type FormEvent, useState } from 'react';

import { useClient } from '../../../chat/ui/useClient';
import type { Company, Member } from '../../company';
import { contactsOf, dropContact, keepContact } from '../../contacts';
import { Part, Waiting } from '../Part';
import { useLoaded, useTask } from '../useTask';

export function Keep({ company, member }: { company: Company; member: Member }) {
  const me = useClient().me.id;
  if (member.user === me) return null;
  return (
    <Part title="Address book">
      <Note company={company} member={member} />
    </Part>
  );
}

function Note({ company, member: { account, display_name } }: { company: Company; member: Member }) {
  const { value, problem, again } = useLoaded(async () => {
    const kept = (await contactsOf(company)).find(({ member }) => member.account === account);
    return { note: kept?.note };
  }, `${company.org.id} ${account}`);
  if (!value) return <Waiting problem={problem} onAgain={again} />;
  return <NoteForm key={value.note} name={display_name} note={value.note} onKeep={(note) => keepContact(company, account, note).then(again)} onDrop={() => dropContact(company, account).then(again)} />;
}

interface FormProps {
  name: string;
  /** None: they are not in it. */
  note?: string;
  onKeep: (note: string) => Promise<void>;
  onDrop: () => Promise<void>;
}

function NoteForm({ name, note, onKeep, onDrop }: FormProps) {
  const [text, setText] = useState(note ?? '');
  const { busy, problem, run } = useTask();
  const kept = note !== undefined;
  const keep = (event: FormEvent) => {
    event.preventDefault();
    void run(() => onKeep(text.trim()));
  };
  return (
    <form className="fields" onSubmit={keep} aria-label={`${name} in your address book`}>
      <label className="field">
        Note, for yourself only
        <input value={text} maxLength={512} dir="auto" autoComplete="off" onChange={(event) => setText(event.target.value)} />
      </label>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || (kept && text.trim() === note)}>
          {kept ? 'Save note' : 'Add to address book'}
        </button>
        {kept && (
          <button type="button" className="link" disabled={busy} onClick={() => void run(onDrop)}>
            Take out
          </button>
        )}
      </div>
    </form>
  );
}
