// One's address book in this organisation.

import type { Company } from '../../company';
import { type Contact, contactsOf, dropContact } from '../../contacts';
import { Part, Waiting } from '../Part';
import { Portrait } from '../Portrait';
import { useLoaded, useTask } from '../useTask';

export function Contacts({ company }: { company: Company }) {
  const { value, problem, again } = useLoaded(async () => (await Promise.all([contactsOf(company), company.load()]))[0], company);
  const task = useTask();
  const drop = ({ member }: Contact) => void task.run(() => dropContact(company, member.account).then(again));
  return (
    <Part title="Address book" about="Colleagues whom you want at hand. Nobody else sees who is in it, or what you note. Put somebody in from their page.">
      {!value && <Waiting problem={problem} onAgain={again} />}
      {task.problem && <p className="refused" role="alert">{task.problem}</p>}
      {value?.length === 0 && <p className="dim">Nobody yet. Find a colleague under People, and open their page.</p>}
      {value && value.length > 0 && (
        <ul className="rows" aria-label="Contacts">
          {value.map((contact) => (
            <li key={contact.member.account}>
              <Portrait of={contact.member} />
              <div className="grow">
                <a href={`#person=${contact.member.account}`}>
                  <strong>{contact.member.display_name}</strong>
                </a>
                <p className="dim">{[company.placeOf(contact.member), contact.note].filter(Boolean).join(' · ')}</p>
              </div>
              <button type="button" className="link" disabled={task.busy} aria-label={`Take out ${contact.member.display_name}`} onClick={() => drop(contact)}>
                Take out
              </button>
            </li>
          ))}
        </ul>
      )}
    </Part>
  );
}
