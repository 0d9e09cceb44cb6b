// Somebody in a call, or what they share, with a button that makes them large. While their camera is off, the picture that the
// server says they have stands in its place; while their video is paused, its last picture does, and says so.

import { type CSSProperties, useCallback, useContext, useSyncExternalStore } from 'react';

import { ParticipantTile, type TrackReferenceOrPlaceholder, useEnsureTrackRef } from '@livekit/components-react';
import { type Participant, ParticipantEvent, Track } from 'livekit-client';

import { Icon } from '../icons';

import { Front, placeOf } from './front';
import { picturePath } from './pictures';

/** `trackRef`: unless it is in a loop over them. */
export function Tile({ trackRef }: { trackRef?: TrackReferenceOrPlaceholder }) {
  const shown = useEnsureTrackRef(trackRef);
  const { participant } = shown;
  const path = picturePath(useFollowed(participant, ParticipantEvent.AttributesChanged, () => participant.attributes.picture));
  const pausing = ParticipantEvent.TrackStreamStateChanged;
  const paused = useFollowed(participant, pausing, () => isPaused(shown)) ? 'Paused, so that the sound goes on' : undefined;
  const picture = path ? ({ '--picture': `url(${JSON.stringify(path)})` } as CSSProperties) : undefined;
  return (
    <div className="tile">
      <ParticipantTile trackRef={trackRef} className={picture && 'pictured'} style={picture} data-paused={paused} />
      <ToFront tile={shown} />
    </div>
  );
}

function ToFront({ tile }: { tile: TrackReferenceOrPlaceholder }) {
  const { wanted, want, settled } = useContext(Front);
  const place = placeOf(tile);
  if (settled(place)) return null;
  const inFront = wanted === place;
  const whose = tile.participant.name || tile.participant.identity;
  const what = tile.source === Track.Source.ScreenShare ? `the screen of ${whose}` : whose;
  const label = inFront ? `Put ${what} back` : `Bring ${what} to the front`;
  return (
    <button type="button" className="to-front" aria-label={label} title={label} aria-pressed={inFront} onClick={() => want(inFront ? undefined : place)}>
      <Icon name={inFront ? 'shrink' : 'enlarge'} />
    </button>
  );
}

/** For want of bandwidth, or of time on the server: it comes back by itself. */
function isPaused({ publication }: TrackReferenceOrPlaceholder): boolean {
  const track = publication?.track;
  return track !== undefined && 'streamState' in track && track.streamState === Track.StreamState.Paused;
}

/** Something of a participant that changes with an event. */
function useFollowed<T>(participant: Participant, event: ParticipantEvent.AttributesChanged | ParticipantEvent.TrackStreamStateChanged, read: () => T): T {
  const follow = useCallback(
    (change: () => void) => {
      participant.on(event, change);
      return () => void participant.off(event, change);
    },
    [participant, event],
  );
  return useSyncExternalStore(follow, read);
}
