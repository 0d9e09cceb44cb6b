// Somebody's picture, or their initials on a colour of their own, with a dot while they are there.

import { useContext, useEffect, useState } from 'react';

import { hex } from '../bytes';

import { initials } from './format';
import { ClientContext } from './useClient';

const COLOURS = ['#0f766e', '#1d4ed8', '#7c3aed', '#be185d', '#b45309', '#15803d', '#0369a1', '#a21caf'];

interface Props {
  name: string;
  /** Chooses the colour. */
  id: number;
  /** Whose picture it is; none of a group. */
  user?: number;
  online?: boolean;
}

export function Avatar({ name, id, user, online }: Props) {
  const { path, failed } = usePicture(user);
  return (
    <span className="avatar" style={{ background: COLOURS[id % COLOURS.length] }} aria-hidden="true">
      {path ? <img src={path} alt="" onError={failed} /> : initials(name)}
      {online && <span className="dot" />}
    </span>
  );
}

/** Where somebody's picture is, once the server has said it. */
function usePicture(user: number | undefined): { path?: string; failed: () => void } {
  const client = useContext(ClientContext);
  const shown = user ? client?.people.get(user) : undefined;
  const key = shown?.picture?.length ? hex(shown.picture) : ''; // users that an earlier release has kept have none
  const [found, setFound] = useState({ key: '', path: '' });
  const online = client?.isOnline ?? false;
  useEffect(() => {
    if (!client || !shown || !key || !online || found.key === key) return undefined;
    let left = false;
    client.links.picture(shown).then((path) => left || setFound({ key, path }), () => undefined);
    return () => {
      left = true;
    };
    // `shown` is another object whenever something is learned; what matters of it is the key.
  }, [client, user, key, online, found.key]);
  // An address that serves no longer: the initials, until there is another picture.
  return { path: found.key === key && key ? found.path : undefined, failed: () => setFound({ key, path: '' }) };
}
