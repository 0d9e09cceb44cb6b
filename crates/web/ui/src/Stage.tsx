// The tiles: everybody in a grid; a shared screen in front, with everybody beside it.

import { GridLayout, isTrackReference, TrackLoop, useTracks } from '@livekit/components-react';
import { RoomEvent, Track } from 'livekit-client';

import { Tile } from './Tile';

const SOURCES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
];

export function Stage() {
  const tracks = useTracks(SOURCES, { updateOnlyOn: [RoomEvent.ActiveSpeakersChanged], onlySubscribed: false });
  const screen = tracks.find((track) => isTrackReference(track) && track.source === Track.Source.ScreenShare);
  const others = tracks.filter((track) => track !== screen);

  if (!screen) {
    return (
      <section className="stage" aria-label="Participants">
        <GridLayout tracks={tracks}>
          <Tile />
        </GridLayout>
      </section>
    );
  }
  return (
    <section className="stage sharing" aria-label="Participants and shared screen">
      <div className="shared">
        <Tile trackRef={screen} />
      </div>
      <div className="beside">
        <TrackLoop tracks={others}>
          <Tile />
        </TrackLoop>
      </div>
    </section>
  );
}
