// Why a call did not begin, or ended, in words.

import { ConnectionError, ConnectionErrorReason, DisconnectReason } from 'livekit-client';

import { problem, type Problem, problems } from '../problems';

/** What joining fails with. */
export function forConnection(error: unknown): Problem | undefined {
  if (!navigator.onLine) return problems.offline;
  if (!(error instanceof ConnectionError)) {
    return problem('join_failed', 'Joining failed', error instanceof Error ? error.message : String(error));
  }
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      return problem('not_allowed', 'The server did not let you in', `${error.message} Get a fresh link, then try again.`);
    case ConnectionErrorReason.Cancelled:
      return undefined;
    case ConnectionErrorReason.LeaveRequest:
      return forDisconnect(typeof error.context === 'number' ? error.context : undefined) ?? problems.lost;
    case ConnectionErrorReason.ServerUnreachable:
    case ConnectionErrorReason.ServiceNotFound:
    case ConnectionErrorReason.WebSocket:
      return problems.serverUnreachable;
    case ConnectionErrorReason.Timeout:
    case ConnectionErrorReason.InternalError:
      // The client reports a transport that does not come up as an internal error.
      return /pc|peer|ice|transport|connection/i.test(error.message) ? problems.mediaBlocked : problems.serverUnreachable;
  }
}

/** Why a call ended; undefined where the person ended it. */
export function forDisconnect(reason?: DisconnectReason): Problem | undefined {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return undefined;
    case DisconnectReason.DUPLICATE_IDENTITY:
      return problems.duplicate;
    case DisconnectReason.PARTICIPANT_REMOVED:
      return problems.removed;
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return problems.roomEnded;
    case DisconnectReason.SERVER_SHUTDOWN:
      return problems.shutdown;
    default:
      return navigator.onLine ? problems.lost : problems.offline;
  }
}
