// What the server lets somebody send in a call.

import { Track } from 'livekit-client';

import type { Device } from '../problems';

/** As the client has them: of what may be sent, numbers of the protocol, and none of them for everything. */
export interface Permissions {
  canPublish: boolean;
  canPublishSources: number[];
}

const SOURCES: Record<Device, Track.Source> = { camera: Track.Source.Camera, microphone: Track.Source.Microphone, screen: Track.Source.ScreenShare };

/** Before they are known everything may be tried. */
export function maySend(permissions: Permissions | undefined, device: Device): boolean {
  if (!permissions) return true;
  const { canPublish, canPublishSources } = permissions;
  return canPublish && (canPublishSources.length === 0 || canPublishSources.includes(Track.sourceToProto(SOURCES[device])));
}
