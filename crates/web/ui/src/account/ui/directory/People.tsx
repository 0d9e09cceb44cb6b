// The directory: a search over everybody one may see, and the tree of departments to walk through.

import { type FormEvent, useEffect, useRef, useState } from 'react';

import { useClient } from '../../../chat/ui/useClient';
import { Icon } from '../../../icons';
import { type Company, may, type Member, PAGE } from '../../company';
import { addDepartment, lastRank } from '../../structure';
import { More } from '../More';
import { Portrait } from '../Portrait';
import { usePages } from '../usePages';
import { usePolling } from '../usePolling';
import { useLoaded, useTask, words } from '../useTask';

import { Crumbs } from './Crumbs';
import { DepartmentGroup } from './DepartmentGroup';
import { Invite } from './Invite';
import { Requests } from './Requests';

/** Between two questions while somebody types. */
const PAUSE_MS = 200;

interface Props {
  company: Company;
  /** The account that is shown beside it, or 0. */
  open: number;
}

export function People({ company, open }: Props) {
  const [text, setText] = useState('');
  const [inviting, setInviting] = useState(false);
  const standing = useLoaded(() => company.standing(), company);
  const admin = standing.value && may(standing.value, 'members');
  return (
    <div className="people">
      <div className="search">
        <Icon name="search" />
        <input type="search" value={text} aria-label="Find people" placeholder="Name, pinyin or number" autoComplete="off" spellCheck={false} onChange={(event) => setText(event.target.value)} />
      </div>
      <div className="scroll">
        {text.trim() ? (
          <Found company={company} question={text.trim()} open={open} />
        ) : (
          <>
            {admin && <Requests company={company} />}
            <Tree company={company} open={open} mayAdd={standing.value !== undefined && may(standing.value, 'departments')} />
          </>
        )}
      </div>
      {admin && (
        <div className="people-foot">
          <button type="button" className="primary grow" onClick={() => setInviting(true)}>
            Invite people
          </button>
          <a className="secondary" href="#me=members">
            Manage
          </a>
        </div>
      )}
      {inviting && <Invite company={company} onClose={() => setInviting(false)} />}
    </div>
  );
}

function Found({ company, question, open }: { company: Company; question: string; open: number }) {
  const [members, setMembers] = useState<Member[]>();
  const [more, setMore] = useState(false);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let left = false;
    const timer = setTimeout(() => {
      Promise.all([company.find(question), company.load()]).then(
        ([page]) => {
          if (left) return;
          setMembers(page.members);
          setMore(Boolean(page.next));
          setProblem('');
        },
        (error: unknown) => left || setProblem(words(error)),
      );
    }, PAUSE_MS);
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [company, question]);
  return (
    <>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <p className="hidden" role="status">
        {members && `${members.length} found`}
      </p>
      {members?.length === 0 && <p className="note">Nobody whom you may see is called like that.</p>}
      {members && <List company={company} members={members} open={open} label="Found" />}
      {more && <p className="note">There are more. Write more of the name.</p>}
    </>
  );
}

function Tree({ company, open, mayAdd }: { company: Company; open: number; mayAdd: boolean }) {
  const [at, setAt] = useState(0);
  const tree = useLoaded(() => company.load().then(() => true), company);
  const pages = usePages((cursor) => company.members(at, cursor).then(({ members, next }) => ({ rows: members, next })), `${company.org.id} ${at}`);
  const problem = pages.problem || tree.problem;
  const shown = useRef(open);
  useEffect(() => {
    // Their page is closed: they may have been changed or removed on it.
    if (shown.current && !open) pages.again();
    shown.current = open;
  }, [open]);
  usePolling(() => {
    tree.again();
    // Of a list that somebody has gone on in, the first page alone would be less than they see.
    if (!problem && (pages.rows?.length ?? 0) <= PAGE) pages.again();
  });
  return (
    <>
      <Crumbs company={company} at={at} onGo={setAt} />
      {problem && <p className="refused" role="alert">{problem}</p>}
      <ul aria-label="Departments">
        {company.below(at).map((department) => (
          <li key={department.id}>
            <button type="button" className="row" onClick={() => setAt(department.id)}>
              <span className="avatar square">
                <Icon name="building" />
              </span>
              <span className="row-title">{department.name}</span>
              <Icon name="forward" />
              <span className="row-text">{department.total === 1 ? '1 person' : `${department.total} people`}</span>
            </button>
          </li>
        ))}
      </ul>
      <DepartmentGroup company={company} department={at} />
      {mayAdd && <AddDepartment company={company} parent={at} onAdded={tree.again} />}
      <List company={company} members={pages.rows ?? []} open={open} label="People" />
      <More pages={pages} />
    </>
  );
}

function List({ company, members, open, label }: { company: Company; members: Member[]; open: number; label: string }) {
  const client = useClient();
  const users = members.map((member) => member.user).join();
  useEffect(() => client.glance(members.map((member) => member.user)), [client, users]);
  return (
    <ul aria-label={label}>
      {members.map((member) => (
        <li key={member.account}>
          <a className="row" href={`#person=${member.account}`} aria-current={open === member.account ? 'page' : undefined}>
            <Portrait of={member} online={member.user === client.me.id ? client.isOnline : client.hints.online(member.user)} />
            <span className="row-title">
              {member.display_name}
              {member.user === client.me.id && ' (you)'}
            </span>
            {member.role !== 'member' && <span className="tag">{member.role}</span>}
            <span className="row-text">{company.placeOf(member) || member.about || member.email}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function AddDepartment({ company, parent, onAdded }: { company: Company; parent: number; onAdded: () => void }) {
  const [open, setOpen] = useState(false);
  const [name, setName] = useState('');
  const { busy, problem, run } = useTask();
  const add = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await addDepartment(company, { parent, name: name.trim(), rank: lastRank(company.below(parent)) });
      await company.load(true);
      setName('');
      setOpen(false);
      onAdded();
    });
  };
  if (!open) {
    return (
      <button type="button" className="link" onClick={() => setOpen(true)}>
        Add a department
      </button>
    );
  }
  return (
    <form className="inline" onSubmit={add} aria-label="New department">
      <input value={name} maxLength={80} required autoFocus aria-label="Name of the department" placeholder="Research" onChange={(event) => setName(event.target.value)} />
      <button type="submit" className="secondary" disabled={busy || !name.trim()}>
        Add
      </button>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </form>
  );
}
