// Somebody's picture, or their initials where there is none or it does not come.

import { useState } from 'react';

import { Avatar } from '../../chat/ui/Avatar';
import type { Member } from '../company';

interface Props {
  of: Pick<Member, 'display_name' | 'user' | 'picture'>;
  online?: boolean;
}

export function Portrait({ of: { display_name, user, picture }, online }: Props) {
  // Addresses are good for some hours: a page that stays open longer falls back until it is told anew.
  const [failed, setFailed] = useState('');
  if (!picture || failed === picture) return <Avatar name={display_name} id={user} online={online} />;
  return (
    <span className="avatar pictured" aria-hidden="true">
      <img src={picture} alt="" loading="lazy" draggable={false} onError={() => setFailed(picture)} />
      {online && <span className="dot" />}
    </span>
  );
}
