// What the address says: `#room=standup`, or `?room=standup`; `&name=` fills in the name. `#token=` carries a seat that
// somebody handed out. The part behind `#` stays in the browser, so a token in it reaches no log on its way.

export interface Link {
  room: string;
  name: string;
  token: string;
}

export function readLink(): Link {
  const hash = new URLSearchParams(location.hash.replace(/^#/, ''));
  const query = new URLSearchParams(location.search);
  const read = (key: string) => (hash.get(key) ?? query.get(key) ?? '').trim();
  return { room: read('room'), name: read('name'), token: hash.get('token') ?? '' };
}

/** Puts the room into the address, so that it can be copied, and takes out anything else. */
export function showRoom(room: string) {
  history.replaceState(null, '', `${location.pathname}#room=${encodeURIComponent(room)}`);
}

export function inviteLink(room: string): string {
  return `${location.origin}${location.pathname}#room=${encodeURIComponent(room)}`;
}
