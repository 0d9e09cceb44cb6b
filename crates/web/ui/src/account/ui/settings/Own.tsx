// One's own account: the profile, how one signs in, where one is signed in, what is known of one, and the ways out.

import type { Company } from '../../company';
import { Part } from '../Part';

import { AccessLog } from './AccessLog';
import { DataExport } from './DataExport';
import { EndAccount } from './EndAccount';
import { NumberForm } from './NumberForm';
import { PasswordForm } from './PasswordForm';
import { PictureForm } from './PictureForm';
import { Profile } from './Profile';
import { Sessions } from './Sessions';
import { Ties } from './Ties';

interface Props {
  company: Company;
  onSwitch: () => void;
  /** `why`: what is left to say then. */
  onSignOut: (why?: string) => void;
}

export function Own({ company, onSwitch, onSignOut }: Props) {
  const { login } = company;
  return (
    <>
      <Part title="Picture" about="Colleagues see it in the directory, and in calls while your camera is off.">
        <PictureForm company={company} />
      </Part>
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
      <Part title="Your data" about="Everything that is known of you in one archive: profile, devices, conversations as you see them, files.">
        <DataExport login={login} />
      </Part>
      <Part title="End the account" about="Your number, names, password, devices and access log are deleted for good. What you wrote stays in its conversations, without your name.">
        <EndAccount login={login} onEnded={onSignOut} />
      </Part>
    </>
  );
}
