// Which microphone, camera and speaker somebody has chosen. Kept in this browser. One that is not plugged in any more gives way
// to what the browser would take, and is taken again when it is back.

import type { RoomOptions } from 'livekit-client';

export type Kind = 'audioinput' | 'videoinput' | 'audiooutput';
type Chosen = Partial<Record<Kind, string>>;

const KEY = 'convene.devices';

/** Whether the browser can play through another speaker than the system's (Safari cannot). */
export const canChooseSpeaker = () => typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;

export function chosen(): Chosen {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Record<string, unknown> | null;
    const ids = Object.entries(kept ?? {}).filter((entry): entry is [Kind, string] => typeof entry[1] === 'string');
    return Object.fromEntries(ids);
  } catch {
    return {}; // somebody else's, or no storage
  }
}

export function choose(kind: Kind, id: string) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...chosen(), [kind]: id }));
  } catch {
    // A full or forbidden storage: it holds for this call.
  }
}

/** Opens the chosen one; where that is not plugged in, what the browser takes. Not as a wish beside others ("ideal"): a camera
 *  that comes nearer to the resolution asked for would be taken instead. */
export async function withChosen<T>(kind: Kind, open: (which?: { deviceId: { exact: string } }) => Promise<T>): Promise<T> {
  const id = chosen()[kind];
  if (!id) return open();
  try {
    return await open({ deviceId: { exact: id } });
  } catch (error) {
    if (error instanceof Error && MISSING.includes(error.name)) return open();
    throw error;
  }
}

const MISSING = ['OverconstrainedError', 'NotFoundError'];

/** The speaker, as the SDK takes it. */
export function speaker(): RoomOptions {
  const id = chosen().audiooutput;
  return id && canChooseSpeaker() ? { audioOutput: { deviceId: id } } : {};
}

/** What is shown of a device: browsers name none before they may be used. */
export const nameOf = (device: MediaDeviceInfo, number: number, kind: string) => device.label || `${kind} ${number + 1}`;
