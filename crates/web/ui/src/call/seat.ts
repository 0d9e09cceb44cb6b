// How one gets into a room: a token, and where to bring it.

import { forStatus, problems, type Problem } from '../problems';

/** What a seat may begin with. */
export type OwnDevice = 'microphone' | 'camera';

export interface Seat {
  token: string;
  url: string;
  /** Whoever has its name can come in; empty where nobody else is to be invited. */
  room: string;
  /** What it is called, if not by the name of the room. */
  title?: string;
  camera: boolean;
  microphone: boolean;
}

export class SeatRefused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

/** Asks the server for a seat. Servers in development mode give one to anybody. */
export async function askForSeat(room: string, name: string): Promise<{ token: string; url: string }> {
  const body = JSON.stringify({ room, name });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch('/dev/token', { method: 'POST', headers, body }).catch(() => {
    throw new SeatRefused(navigator.onLine ? problems.serverUnreachable : problems.offline);
  });
  if (!response.ok) {
    const detail = await response.json().then((problem: { detail?: string }) => problem.detail, () => undefined);
    throw new SeatRefused(forStatus(response.status, detail));
  }
  return (await response.json()) as { token: string; url: string };
}

/** Where to bring a token that came with the link: to the server this page is from. */
export function ownUrl(): string {
  return location.origin.replace(/^http/, 'ws');
}

/** The room a token is for, to show it. */
export function roomOf(token: string): string {
  return grantOf(token).room ?? '';
}

/** Whether a token lets its holder send what the device gives, so that nobody is asked for a camera in vain. */
export function mayOpen(token: string, device: OwnDevice): boolean {
  const { canPublish, canPublishSources } = grantOf(token);
  return canPublish !== false && (!canPublishSources?.length || canPublishSources.includes(device));
}

interface Grant {
  room?: string;
  canPublish?: boolean;
  canPublishSources?: string[];
}

/** What a token says. The server is the one that checks. */
function grantOf(token: string): Grant {
  try {
    const payload = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { video?: Grant } | null;
    return claims?.video ?? {};
  } catch {
    return {};
  }
}
