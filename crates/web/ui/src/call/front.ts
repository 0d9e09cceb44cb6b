// Who is to be large: a choice of whoever watches, kept while the page is in the call. By name and source, so that somebody who
// comes back after a cut is in front again.

import type { TrackReferenceOrPlaceholder } from '@livekit/components-react';
import { createContext } from 'react';

export interface Choice {
  /** Whose tile was brought to the front. */
  wanted?: string;
  want: (place?: string) => void;
  /** Whose tile has nobody beside it, or is in front without being asked for: there is nothing to choose. */
  settled: (place: string) => boolean;
}

export const Front = createContext<Choice>({ want: () => undefined, settled: () => true });

/** Names a tile. */
export const placeOf = ({ participant, source }: TrackReferenceOrPlaceholder) => `${source} ${participant.identity}`;
