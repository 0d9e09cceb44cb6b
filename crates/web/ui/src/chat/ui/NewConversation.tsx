// A conversation with one person, or a group with several.

import { useState } from 'react';

import { Icon } from '../../icons';
import { words } from '../../account/ui/useTask';
import type { User } from '../../wire/im.gen';

import { Dialog } from '../../Dialog';
import { PeopleField } from './PeopleField';
import { useClient } from './useClient';

interface Props {
  onClose: () => void;
  onMade: (conv: number) => void;
}

export function NewConversation({ onClose, onMade }: Props) {
  const client = useClient();
  const [people, setPeople] = useState<User[]>([]);
  const [title, setTitle] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const add = (users: User[]) => setPeople((before) => [...before, ...users.filter((user) => !before.some((one) => one.id === user.id))]);
  const group = people.length > 1 || title.trim() !== '';
  const make = async () => {
    setBusy(true);
    setProblem('');
    try {
      const ids = people.map((user) => user.id);
      const [first = 0] = ids;
      const named = title.trim() || people.map((user) => user.displayName || user.name).join(', ').slice(0, 80);
      onMade(group ? await client.createGroup(named, ids) : await client.createDirect(first));
    } catch (error) {
      setProblem(words(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title="New conversation" onClose={onClose}>
      <p className="dim">
        {client.account.company ? 'Whom do you want to write to?' : 'Names of people, with commas between them.'} One makes a direct conversation, several make a group.
      </p>
      <PeopleField action="Add" onPick={add} />
      {people.length > 0 && (
        <ul className="chips" aria-label="Chosen">
          {people.map((user) => (
            <li key={user.id}>
              {user.displayName || user.name}
              <button type="button" className="plain" aria-label={`Without ${user.displayName || user.name}`} onClick={() => setPeople(people.filter((one) => one !== user))}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <label className="field">
        Name of the group (optional)
        <input value={title} maxLength={80} onChange={(event) => setTitle(event.target.value)} />
      </label>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <button type="button" className="primary" disabled={busy || !people.length} onClick={() => void make()}>
        {group ? 'Create group' : 'Start conversation'}
      </button>
    </Dialog>
  );
}
