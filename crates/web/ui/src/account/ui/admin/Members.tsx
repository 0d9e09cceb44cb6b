// Who is in the organisation, who is to come, and who waits.

import { useState } from 'react';

import { stamp } from '../../../chat/ui/format';
import { type Company, type Invitation, may, type Member, type Standing } from '../../company';
import { Confirm } from '../Confirm';
import { Invite } from '../directory/Invite';
import { Requests } from '../directory/Requests';
import { More } from '../More';
import { Part, Waiting } from '../Part';
import { Portrait } from '../Portrait';
import { usePages } from '../usePages';
import { useLoaded, useTask } from '../useTask';

interface Props {
  company: Company;
  standing: Standing;
}

export function Members({ company, standing }: Props) {
  return (
    <>
      <Requests company={company} />
      <Invitations company={company} />
      <Roster company={company} standing={standing} />
    </>
  );
}

function Invitations({ company }: { company: Company }) {
  const { value, problem, again } = useLoaded(() => company.invitations(), company);
  const [inviting, setInviting] = useState(false);
  const task = useTask();
  const done = () => {
    setInviting(false);
    again();
  };
  return (
    <Part title="Invitations" about="Those that are still good.">
      {!value && <Waiting problem={problem} onAgain={again} />}
      {task.problem && <p className="refused" role="alert">{task.problem}</p>}
      {value?.length === 0 && <p className="dim">There are none.</p>}
      <ul className="rows" aria-label="Invitations">
        {value?.map((invitation) => (
          <li key={invitation.id}>
            <div className="grow">
              <strong>{whom(invitation)}</strong>
              <p className="dim">
                Until {stamp(invitation.expires_s * 1000)}
                {invitation.needs_approval && ' · somebody here has to agree'}
              </p>
            </div>
            <div className="buttons">
              <Confirm action="Take back" sure="Yes, take it back" busy={task.busy} onSure={() => void task.run(() => company.withdraw(invitation.id).finally(again))} />
            </div>
          </li>
        ))}
      </ul>
      <div className="buttons">
        <button type="button" className="secondary" onClick={() => setInviting(true)}>
          Invite somebody
        </button>
      </div>
      {inviting && <Invite company={company} onClose={done} />}
    </Part>
  );
}

function whom({ phone, uses_left }: Invitation): string {
  if (phone) return phone;
  return uses_left === 1 ? 'A link for one more person' : `A link for ${uses_left} more people`;
}

function Roster({ company, standing }: Props) {
  const pages = usePages(async (cursor) => {
    const [{ members, next }] = await Promise.all([company.everybody(cursor), company.load()]);
    return { rows: members, next };
  }, company);
  const { rows, problem, again } = pages;
  return (
    <Part title="Everybody" about={`${standing.members === 1 ? 'One person is' : `${standing.members} people are`} in ${company.org.title}. Role, department, position and removal are on each page.`}>
      {!rows && <Waiting problem={problem} onAgain={again} />}
      {rows && problem && <p className="refused" role="alert">{problem}</p>}
      <ul className="rows" aria-label="Everybody">
        {rows?.map((member) => (
          <Row key={member.account} company={company} standing={standing} member={member} />
        ))}
      </ul>
      <More pages={pages} />
    </Part>
  );
}

function Row({ company, standing, member }: Props & { member: Member }) {
  const { account, display_name, role, scopes, joined_s } = member;
  return (
    <li>
      <Portrait of={member} />
      <div className="grow">
        <a href={`#person=${account}`}>
          <strong>{display_name}</strong>
        </a>{' '}
        {role !== 'member' && <span className="tag">{role}</span>}
        <p className="dim">{[company.placeOf(member), scopes.join(', '), `since ${stamp(joined_s * 1000)}`].filter(Boolean).join(' · ')}</p>
      </div>
      {may(standing, 'audit') && (
        <a className="link" href={`#me=accesses&of=${account}`} aria-label={`Access log of ${display_name}`}>
          Access log
        </a>
      )}
    </li>
  );
}
