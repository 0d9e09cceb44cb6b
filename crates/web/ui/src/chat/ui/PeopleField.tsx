// Finding people by name.

import { type FormEvent, useEffect, useState } from 'react';

import type { Company, Member } from '../../account/company';
import { words } from '../../account/ui/useTask';
import { make } from '../../wire/codec';
import type { User } from '../../wire/im.gen';

import { Avatar } from './Avatar';
import { useClient } from './useClient';

interface Props {
  action: string;
  onPick: (users: User[]) => void;
}

/** By the directory where there is one, else by exact names. */
export function PeopleField(props: Props) {
  const { company } = useClient().account;
  return company ? <Directory company={company} {...props} /> : <Names {...props} />;
}

/** Between two questions while somebody types. */
const PAUSE_MS = 200;

const userOf = ({ user, display_name }: Member) => make('User', { id: user, displayName: display_name });

function Directory({ company, action, onPick }: Props & { company: Company }) {
  const client = useClient();
  const [text, setText] = useState('');
  const [found, setFound] = useState<Member[]>([]);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    const question = text.trim();
    if (!question) return setFound([]);
    let left = false;
    const ask = async () => {
      try {
        const [{ members }] = await Promise.all([company.find(question), company.load()]);
        if (left) return;
        setFound(members.filter((member) => member.user !== client.me.id));
        setProblem(members.length ? '' : 'Nobody of that name.');
      } catch (error) {
        if (!left) setProblem(words(error));
      }
    };
    const timer = setTimeout(() => void ask(), PAUSE_MS);
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [client, company, text]);
  const pick = (member: Member) => {
    const user = userOf(member);
    client.people.learn([user]);
    onPick([user]);
    setText('');
  };
  return (
    <div className="directory">
      <div className="inline">
        <input value={text} aria-label="Find people" placeholder="Name, pinyin or number" autoComplete="off" onChange={(event) => setText(event.target.value)} />
      </div>
      <ul aria-label="Found">
        {found.map((member) => (
          <li key={member.user}>
            <button type="button" aria-label={`${action} ${member.display_name}`} onClick={() => pick(member)}>
              <Avatar name={member.display_name} id={member.user} user={member.user} />
              <span className="grow">
                {member.display_name} <span className="dim">{company.placeOf(member)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {problem && text && <p className="dim" role="status">{problem}</p>}
    </div>
  );
}

function Names({ action, onPick }: Props) {
  const client = useClient();
  const [text, setText] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const find = async (event: FormEvent) => {
    event.preventDefault();
    const names = text.split(/[,;]/).map((name) => name.trim()).filter(Boolean);
    if (!names.length) return;
    setBusy(true);
    setProblem('');
    try {
      const users = await client.findByName(names);
      const missing = names.filter((name) => !users.some((user) => user.name === name));
      if (missing.length) setProblem(`Not known here: ${missing.join(', ')}. They have to sign in once.`);
      const others = users.filter((user) => user.id !== client.me.id);
      if (others.length && !missing.length) {
        setText('');
        onPick(others);
      }
    } catch {
      setProblem(client.isOnline ? 'The server did not answer. Try again.' : 'There is no connection. Try again when it is back.');
    }
    setBusy(false);
  };
  return (
    <form onSubmit={find}>
      <div className="inline">
        <input value={text} aria-label="Names of people" placeholder="ana, bo" autoCapitalize="none" spellCheck={false} onChange={(event) => setText(event.target.value)} />
        <button type="submit" className="secondary" disabled={busy || !text.trim()}>
          {action}
        </button>
      </div>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </form>
  );
}
