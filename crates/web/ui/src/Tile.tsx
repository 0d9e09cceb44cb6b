// Somebody in a call. While their camera is off, the picture that the server says they have stands in its place.

import { type CSSProperties, useCallback, useSyncExternalStore } from 'react';

import { ParticipantTile, useEnsureTrackRef } from '@livekit/components-react';
import { type Participant, ParticipantEvent } from 'livekit-client';

import { picturePath } from './pictures';

export function Tile() {
  const { participant } = useEnsureTrackRef();
  const path = picturePath(useAttribute(participant, 'picture'));
  if (!path) return <ParticipantTile />;
  return <ParticipantTile className="pictured" style={{ '--picture': `url(${JSON.stringify(path)})` } as CSSProperties} />;
}

function useAttribute(participant: Participant, name: string): string | undefined {
  const follow = useCallback(
    (change: () => void) => {
      participant.on(ParticipantEvent.AttributesChanged, change);
      return () => void participant.off(ParticipantEvent.AttributesChanged, change);
    },
    [participant],
  );
  return useSyncExternalStore(follow, () => participant.attributes[name]);
}
