// Somebody's initials on a colour of their own, with a dot while they are there.

import { initials } from './format';

const COLOURS = ['#0f766e', '#1d4ed8', '#7c3aed', '#be185d', '#b45309', '#15803d', '#0369a1', '#a21caf'];

interface Props {
  name: string;
  /** Chooses the colour. */
  id: number;
  online?: boolean;
}

export function Avatar({ name, id, online }: Props) {
  return (
    <span className="avatar" style={{ background: COLOURS[id % COLOURS.length] }} aria-hidden="true">
      {initials(name)}
      {online && <span className="dot" />}
    </span>
  );
}
