// One's own page, and those of the organisation beside it, as far as one's role opens them.

import { useEffect, useRef } from 'react';

import { Icon } from '../../../icons';
import type { Company, Standing } from '../../company';
import { Accesses } from '../admin/Accesses';
import { Audit } from '../admin/Audit';
import { Departments } from '../admin/Departments';
import { Keys } from '../admin/Keys';
import { Members } from '../admin/Members';
import { PolicyPage } from '../admin/PolicyPage';
import { Webhooks } from '../admin/Webhooks';
import { Waiting } from '../Part';
import { useLoaded } from '../useTask';

import { Contacts } from './Contacts';
import { Own } from './Own';
import { type Key, type Section, SECTIONS, sectionsFor, useSection } from './sections';

interface Props {
  company: Company;
  onSwitch: () => void;
  /** `why`: what is left to say then. */
  onSignOut: (why?: string) => void;
}

export function Settings({ company, onSwitch, onSignOut }: Props) {
  const open = useSection();
  const { value: standing, problem, again } = useLoaded(() => company.standing(), company);
  const section = SECTIONS.find(({ key }) => key === open) ?? SECTIONS[0];
  const had = sectionsFor(standing);
  return (
    <section className="thread page" aria-label={section.name}>
      <header>
        <a className="round small only-phone" href="#" aria-label="Back to conversations">
          <Icon name="back" />
        </a>
        <div className="grow">
          <h1>{section.name}</h1>
          <p className="dim">{section.key ? company.org.title : `${company.login.account.phone} · ${company.org.title}`}</p>
        </div>
        <button type="button" className="secondary" onClick={() => onSignOut()}>
          Sign out
        </button>
      </header>
      <Nav sections={had} open={section.key} />
      <div className="settings" key={section.key}>
        {section.key === '' && <Own company={company} onSwitch={onSwitch} onSignOut={onSignOut} />}
        {section.key !== '' && !standing && <Waiting problem={problem} onAgain={again} />}
        {section.key !== '' && standing && !had.includes(section) && <p className="refused" role="alert">Your role does not open this page. Ask an owner of {company.org.title}.</p>}
        {standing && had.includes(section) && <Page section={section.key} company={company} standing={standing} />}
      </div>
    </section>
  );
}

function Nav({ sections, open }: { sections: readonly Section[]; open: Key }) {
  const current = useRef<HTMLAnchorElement>(null);
  // On a phone they do not fit: the one that is open is not to be behind the edge.
  useEffect(() => current.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [open, sections.length]);
  return (
    <nav className="sections" aria-label="Settings">
      {sections.map(({ key, name }) => (
        <a key={key} ref={key === open ? current : undefined} href={key ? `#me=${key}` : '#me'} aria-current={key === open ? 'page' : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

function Page({ section, company, standing }: { section: Key; company: Company; standing: Standing }) {
  switch (section) {
    case '':
      return null;
    case 'contacts':
      return <Contacts company={company} />;
    case 'policy':
      return <PolicyPage company={company} standing={standing} />;
    case 'members':
      return <Members company={company} standing={standing} />;
    case 'departments':
      return <Departments company={company} />;
    case 'keys':
      return <Keys company={company} />;
    case 'webhooks':
      return <Webhooks company={company} />;
    case 'audit':
      return <Audit company={company} />;
    case 'accesses':
      return <Accesses company={company} />;
  }
}
