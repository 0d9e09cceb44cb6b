// What the address says: `#room=standup`, or `?room=standup`; `&name=` fills in the name. `#token=` carries a seat that
// somebody handed out. `#c=9` opens a conversation, `#person=7` a colleague, `#me` one's own account, `#me=policy` a page of
// the organisation beside it; `#chat=` carries a token for chat, `#join=` the secret of an invitation to an organisation;
// `#lobby` asks for a room. The part behind `#` stays in the browser, so a token in it reaches no log on its way.

export interface Link {
  room: string;
  name: string;
  token: string;
  /** The conversation that is open, or 0. */
  conv: number;
  /** The account of a colleague, or 0. */
  person: number;
  /** One's own account. */
  me: boolean;
  chatToken: string;
  /** The secret of an invitation. */
  join: string;
  /** Rooms, without chat. */
  lobby: boolean;
}

const SEAT_KEY = 'convene.seat';

export function readLink(): Link {
  const hash = new URLSearchParams(location.hash.replace(/^#/, ''));
  const query = new URLSearchParams(location.search);
  const read = (key: string) => (hash.get(key) ?? query.get(key) ?? '').trim();
  const room = read('room');
  const token = hash.get('token') ?? keptToken(room);
  return {
    room,
    name: read('name'),
    token,
    conv: Number(hash.get('c')) || 0,
    person: Number(hash.get('person')) || 0,
    me: hash.has('me'),
    join: hash.get('join') ?? '',
    chatToken: hash.get('chat') ?? '',
    lobby: room !== '' || token !== '' || hash.has('lobby'),
  };
}

/** Puts the room into the address, and takes out anything else. A token that one came by is kept in this tab, for a reload: it is
 * no part of what somebody copies. */
export function showRoom(room: string, token = '') {
  history.replaceState(null, '', `${location.pathname}#room=${encodeURIComponent(room)}`);
  try {
    if (token) sessionStorage.setItem(SEAT_KEY, JSON.stringify({ room, token }));
    else sessionStorage.removeItem(SEAT_KEY);
  } catch {
    // A full or forbidden storage: the link has to be followed again.
  }
}

/** The token that this tab has come into a room by. */
function keptToken(room: string): string {
  try {
    const kept = JSON.parse(sessionStorage.getItem(SEAT_KEY) ?? 'null') as { room?: unknown; token?: unknown } | null;
    return room && kept?.room === room && typeof kept.token === 'string' ? kept.token : '';
  } catch {
    return ''; // somebody else's, or no storage
  }
}

export function inviteLink(room: string): string {
  return `${location.origin}${location.pathname}#room=${encodeURIComponent(room)}`;
}
