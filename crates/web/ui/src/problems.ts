// Faults in words: what happened, and what the person in front of the screen can do about it.

export interface Problem {
  /** Stable name, for tests and bug reports. */
  code: string;
  title: string;
  action: string;
}

export type Device = 'camera' | 'microphone' | 'screen';

/** One that is not in the list. */
export const problem = (code: string, title: string, action: string): Problem => ({ code, title, action });

export const problems = {
  offline: problem('offline', 'This device is offline', 'Check its network connection, then try again.'),
  serverUnreachable: problem(
    'server_unreachable',
    'The server does not answer',
    'It may be restarting, or a firewall or proxy stands in between. Wait a moment, then try again.',
  ),
  noDevSeats: problem(
    'no_dev_seats',
    'This server gives seats by invitation only',
    'Ask whoever runs it for a link that carries your token: #token=…',
  ),
  mediaBlocked: problem(
    'media_blocked',
    'Audio and video cannot get through',
    'Signaling works, but the UDP media ports of the server (7890 and up) cannot be reached. Try another network, or ask ' +
      'the operator to open them and to check node_ip.',
  ),
  insecure: problem(
    'insecure_address',
    'The browser gives camera and microphone to secure addresses only',
    'Open this page by https://, or on the server itself by http://localhost. You can join and listen meanwhile.',
  ),
  duplicate: problem(
    'duplicate_identity',
    'You joined from somewhere else',
    'The same identity entered the room again, so this tab was disconnected. Join again to take it back.',
  ),
  removed: problem('removed', 'You were removed from the room', 'Ask the host before you join again.'),
  roomEnded: problem('room_ended', 'The room was closed', 'Join again to open it anew, if you may.'),
  shutdown: problem('server_shutdown', 'The server is restarting', 'Join again in a moment.'),
  outdated: problem(
    'client_outdated',
    'This page cannot be completed',
    'The server may be new or out of reach. Reload the page, then try again.',
  ),
  lost: problem(
    'connection_lost',
    'The connection was lost and could not be restored',
    'Check your network, then join again.',
  ),
} satisfies Record<string, Problem>;

const names: Record<Device, string> = { camera: 'camera', microphone: 'microphone', screen: 'screen' };
const title = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

/** What getUserMedia and getDisplayMedia fail with; undefined where nothing is wrong (the picker was closed). */
export function forDevice(device: Device, error: unknown): Problem | undefined {
  const name = names[device];
  if (!navigator.mediaDevices || !window.isSecureContext) return problems.insecure;
  const kind = error instanceof Error ? error.name : '';
  const text = error instanceof Error ? error.message : String(error);
  switch (kind) {
    case 'NotAllowedError':
    case 'SecurityError':
      if (device === 'screen' && !/system/i.test(text)) return undefined;
      if (/system/i.test(text)) {
        return problem(
          `${device}_blocked_by_system`,
          `The operating system keeps the browser from the ${name}`,
          `Allow it in the system's privacy settings, then turn the ${name} on again.`,
        );
      }
      return problem(
        `${device}_blocked`,
        `${title(name)} access is blocked`,
        `Click the icon left of the address, allow the ${name} for this site, then turn it on again. You can join without.`,
      );
    case 'NotFoundError':
    case 'DevicesNotFoundError':
      return problem(
        `${device}_missing`,
        `No ${name} was found`,
        `Connect one, then turn it on again. You can join without: you will see and hear the others.`,
      );
    case 'OverconstrainedError':
      return problem(
        `${device}_unsuitable`,
        `The ${name} cannot do what was asked of it`,
        'Choose another one in the browser’s site settings, then turn it on again.',
      );
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError':
      return problem(
        `${device}_busy`,
        `The ${name} cannot be started`,
        `Another program may be using it. Close that program, then turn the ${name} on again.`,
      );
    default:
      return problem(`${device}_failed`, `The ${name} could not be turned on`, text || 'Try again.');
  }
}

/** What the HTTP status of a refused seat means. */
export function forStatus(status: number, detail?: string): Problem {
  if (status === 404 || status === 405) return problems.noDevSeats;
  if (status >= 500) return { ...problems.serverUnreachable, action: detail ?? problems.serverUnreachable.action };
  return problem('seat_refused', 'The server did not let you in', detail ?? `It answered with status ${status}.`);
}
