// The tiles: everybody in a grid; whom somebody has brought to the front, or else a shared screen, large, with everybody beside.

import { GridLayout, isTrackReference, TrackLoop, type TrackReferenceOrPlaceholder, useTracks } from '@livekit/components-react';
import { RoomEvent, Track } from 'livekit-client';
import { useMemo, useState } from 'react';

import { Front, placeOf } from './front';
import { Tile } from './Tile';

const SOURCES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
];

export function Stage() {
  const tracks = useTracks(SOURCES, { updateOnlyOn: [RoomEvent.ActiveSpeakersChanged], onlySubscribed: false });
  const [wanted, want] = useState<string>();
  const brought = tracks.find((track) => placeOf(track) === wanted);
  const front = brought ?? tracks.find(isScreen);
  const [chosen, shown, alone] = [brought && wanted, front && placeOf(front), tracks.length < 2];
  const choice = useMemo(() => ({ wanted: chosen, want, settled: (place: string) => alone || (place === shown && !chosen) }), [chosen, shown, alone]);

  return <Front.Provider value={choice}>{front ? <InFront front={front} others={tracks.filter((track) => track !== front)} /> : <Grid tracks={tracks} />}</Front.Provider>;
}

function Grid({ tracks }: { tracks: TrackReferenceOrPlaceholder[] }) {
  return (
    <section className="stage" aria-label="Participants">
      <GridLayout tracks={tracks}>
        <Tile />
      </GridLayout>
    </section>
  );
}

function InFront({ front, others }: { front: TrackReferenceOrPlaceholder; others: TrackReferenceOrPlaceholder[] }) {
  return (
    <section className="stage sharing" aria-label={isScreen(front) ? 'Participants and shared screen' : 'Participants, one in front'}>
      <div className="shared">
        <Tile trackRef={front} />
      </div>
      <div className="beside">
        <TrackLoop tracks={others}>
          <Tile />
        </TrackLoop>
      </div>
    </section>
  );
}

const isScreen = (track: TrackReferenceOrPlaceholder) => isTrackReference(track) && track.source === Track.Source.ScreenShare;
