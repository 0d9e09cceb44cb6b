// One's own page: the profile, how one signs in, where one is signed in, and the ways out.

import type { ReactNode } from 'react';

import { Icon } from '../../../icons';
import type { Company } from '../../company';

import { AccessLog } from './AccessLog';
import { EndAccount } from './EndAccount';
import { NumberForm } from './NumberForm';
import { PasswordForm } from './PasswordForm';
import { Profile } from './Profile';
import { Sessions } from './Sessions';
import { Ties } from './Ties';

interface Props {
  company: Company;
  onSwitch: () => void;
  /** `why`: what is left to say then. */
  onSignOut: (why?: string) => void;
}

export function Settings({ company, onSwitch, onSignOut }: Props) {
  const { login } = company;
  return (
    <section className="thread page" aria-label="Account">
      <header>
        <a className="round small only-phone" href="#" aria-label="Back to conversations">
          <Icon name="back" />
        </a>
        <div className="grow">
          <h1>Account</h1>
          <p className="dim">
            {login.account.phone} · {company.org.title}
          </p>
        </div>
        <button type="button" className="secondary" onClick={() => onSignOut()}>
          Sign out
        </button>
      </header>
      <div className="settings">
        <Part title="Profile" about="What your colleagues see of you.">
          <Profile company={company} />
        </Part>
        <Part title="Devices and sign-ins" about="A sign-in that you end is out within a second.">
          <Sessions login={login} />
        </Part>
        <Part title="Password" about={login.account.has_password ? 'Another password ends all other sign-ins.' : 'With a password you can sign in without a code.'}>
          <PasswordForm login={login} />
        </Part>
        <Part title="Phone number" about="Codes go to this number, and invitations find you by it.">
          <NumberForm login={login} />
        </Part>
        <Part title="Organisation" about={`You are in ${company.org.title}.`}>
          <Ties company={company} onSwitch={onSwitch} />
        </Part>
        <Part title="Who used your account" about="Requests that were made with it, the latest first.">
          <AccessLog login={login} />
        </Part>
        <Part title="End the account" about="Your number, names, password, devices and access log are deleted for good. What you wrote stays in its conversations, without your name.">
          <EndAccount login={login} onEnded={(receipt) => onSignOut(`Your account has ended. The receipt of it, which is kept nowhere else: ${receipt}`)} />
        </Part>
      </div>
    </section>
  );
}

function Part({ title, about, children }: { title: string; about: string; children: ReactNode }) {
  return (
    <section className="part" aria-label={title}>
      <h2>{title}</h2>
      <p className="dim">{about}</p>
      {children}
    </section>
  );
}
