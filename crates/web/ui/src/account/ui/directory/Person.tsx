// A colleague: who and where, to write to and to ring.

import { useEffect } from 'react';

import { lastSeen } from '../../../chat/ui/format';
import { useClient } from '../../../chat/ui/useClient';
import type { Calls } from '../../../chat/ui/useCalls';
import { Icon } from '../../../icons';
import { type Company, may, type Member, type Standing } from '../../company';
import { Confirm } from '../Confirm';
import { Portrait } from '../Portrait';
import { ProfileForm } from '../settings/Profile';
import { useLoaded, useTask } from '../useTask';

import { Keep } from './Keep';
import { RoleChoice } from './RoleChoice';

interface Props {
  company: Company;
  account: number;
  calls: Calls;
}

export function Person({ company, account, calls }: Props) {
  const { value, problem, again } = useLoaded(async () => {
    const [{ member }, standing] = await Promise.all([company.detail(account), company.standing(), company.load()]);
    return { member, standing };
  }, `${company.org.id} ${account}`);
  return (
    <section className="thread page" aria-label={value?.member.display_name ?? 'Person'}>
      <header>
        <a className="round small only-phone" href="#" aria-label="Back to people">
          <Icon name="back" />
        </a>
        <div className="grow">
          <h1>{value?.member.display_name ?? 'Person'}</h1>
          <p className="dim">{company.org.title}</p>
        </div>
      </header>
      <div className="settings">
        {problem && <p className="refused" role="alert">{problem}</p>}
        {value && <Card company={company} member={value.member} calls={calls} />}
        {value && <Keep company={company} member={value.member} />}
        {value && <Manage company={company} member={value.member} standing={value.standing} onSaved={again} />}
      </div>
    </section>
  );
}

function Card({ company, member, calls }: { company: Company; member: Member; calls: Calls }) {
  const client = useClient();
  const { busy, problem, run } = useTask();
  const me = member.user === client.me.id;
  const online = me ? client.isOnline : client.hints.online(member.user);
  useEffect(() => client.glance([member.user]), [client, member.user]);
  const write = () => run(async () => void (location.hash = `c=${await client.createDirect(member.user)}`));
  return (
    <div className="person">
      <Portrait of={member} online={online} />
      <h2>{member.display_name}</h2>
      <p className="dim">{[company.placeOf(member), me ? 'you' : online ? 'online' : lastSeen(client.hints.lastSeenMs(member.user), Date.now())].filter(Boolean).join(' · ')}</p>
      {member.about && <p dir="auto">{member.about}</p>}
      {me ? (
        <a className="secondary" href="#me">
          Edit your profile
        </a>
      ) : (
        <div className="buttons">
          <button type="button" className="primary" disabled={busy} onClick={() => void write()}>
            <Icon name="chat" /> Message
          </button>
          <button type="button" className="secondary" onClick={() => void calls.ring([member.user], false)}>
            <Icon name="phone" /> Call
          </button>
          <button type="button" className="secondary" onClick={() => void calls.ring([member.user], true)}>
            <Icon name="camera" /> Video call
          </button>
        </div>
      )}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <dl>
        <Row name="Department" text={company.pathOf(member.places[0]?.department ?? 0)} />
        <Row name="Position" text={company.positions.find((one) => one.id === member.places[0]?.position)?.name ?? ''} />
        <Row name="Mail" text={member.email} href={`mailto:${member.email}`} />
        <Row name="Workplace" text={member.workplace} />
        <Row name="Employee number" text={member.employee_number} />
        <Row name="Role here" text={roleOf(member)} />
      </dl>
    </div>
  );
}

function roleOf({ role, scopes }: Member): string {
  if (role === 'member') return '';
  return scopes.length ? `${role}: ${scopes.join(', ')}` : role;
}

function Row({ name, text, href }: { name: string; text: string; href?: string }) {
  if (!text) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd dir="auto">{href ? <a href={href}>{text}</a> : text}</dd>
    </>
  );
}

interface ManageProps {
  company: Company;
  member: Member;
  standing: Standing;
  onSaved: () => void;
}

/** What administrators do about somebody. */
function Manage({ company, member, standing, onSaved }: ManageProps) {
  const client = useClient();
  const { busy, problem, run } = useTask();
  if (!may(standing, 'members') || member.user === client.me.id) return null;
  const remove = () =>
    run(async () => {
      await company.remove(member.account);
      location.hash = '';
    });
  return (
    <details className="part">
      <summary>Edit or remove</summary>
      <ProfileForm key={`${member.account} ${JSON.stringify(member.places)}`} company={company} member={member} rule={() => 'free'} onSaved={onSaved} />
      {standing.role === 'owner' && <RoleChoice key={`${member.role} ${member.scopes.join()}`} company={company} member={member} onSaved={onSaved} />}
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <Confirm action={`Remove from ${company.org.title}`} sure={`Yes, remove ${member.display_name}`} busy={busy} onSure={() => void remove()} />
      </div>
    </details>
  );
}
