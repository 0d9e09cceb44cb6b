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

export function readLink(): Link {
  const hash = new URLSearchParams(location.hash.replace(/^#/, ''));
  const query = new URLSearchParams(location.search);
  const read = (key: string) => (hash.get(key) ?? query.get(key) ?? '').trim();
  const [room, token] = [read('room'), hash.get('token') ?? ''];
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

/** Puts the room into the address, so that it can be copied, and takes out anything else. */
export function showRoom(room: string) {
  history.replaceState(null, '', `${location.pathname}#room=${encodeURIComponent(room)}`);
}

export function inviteLink(room: string): string {
  return `${location.origin}${location.pathname}#room=${encodeURIComponent(room)}`;
}
