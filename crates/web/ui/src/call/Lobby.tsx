// Before the call: who, where, and a look into the mirror.

import { type FormEvent, useState } from 'react';

import { Icon } from '../icons';
import type { Link } from '../link';
import { Notice } from '../Notice';
import { type Problem, problems } from '../problems';
import { askForSeat, ownUrl, roomOf, type Seat, SeatRefused } from './seat';
import { usePreview } from './usePreview';

interface Props {
  link: Link;
  problem?: Problem;
  onEnter: (seat: Seat) => void;
}

const NAME_KEY = 'convene.name';

export function Lobby({ link, problem, onEnter }: Props) {
  const [name, setName] = useState(() => link.name || localStorage.getItem(NAME_KEY) || '');
  const [room, setRoom] = useState(roomOf(link.token) || link.room);
  const [camera, setCamera] = useState(true);
  const [microphone, setMicrophone] = useState(true);
  const [refused, setRefused] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const preview = usePreview(camera);
  const invited = link.token !== '';

  const join = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setRefused(undefined);
    try {
      if (!invited) localStorage.setItem(NAME_KEY, name.trim());
      const seat = invited ? { token: link.token, url: ownUrl() } : await askForSeat(room.trim(), name.trim());
      preview.stop();
      // The name of a room is no invitation where one comes in by tokens.
      const named = invited ? { room: '', title: room.trim() || 'Call' } : { room: room.trim() };
      onEnter({ ...seat, ...named, camera: camera && !preview.problem, microphone });
    } catch (error) {
      setRefused(error instanceof SeatRefused ? error.problem : problems.serverUnreachable);
      setBusy(false);
    }
  };

  const shown = refused ?? problem ?? preview.problem;
  return (
    <main className="lobby">
      <header>
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>Convene</h1>
        <p>Calls on your own server.</p>
      </header>
      {shown && <Notice problem={shown} />}
      <div className="card">
        <section className="mirror" aria-label="Preview">
          {preview.stream ? (
            <video ref={preview.attach} aria-label="Your camera" autoPlay muted playsInline />
          ) : (
            <p>{!camera ? 'Camera is off' : preview.problem ? 'No picture' : 'Starting camera…'}</p>
          )}
          <div className="mirror-controls">
            <Toggle on={microphone} name="microphone" icon={microphone ? 'mic' : 'micOff'} onClick={setMicrophone} />
            <Toggle on={camera} name="camera" icon={camera ? 'camera' : 'cameraOff'} onClick={setCamera} />
          </div>
        </section>
        <form onSubmit={join}>
          {!invited && (
            <label>
              Your name
              <input
                name="name"
                value={name}
                onChange={(event) => setName(event.target.value)}
                autoComplete="name"
                maxLength={60}
                required
                autoFocus={name === ''}
                placeholder="Ana"
              />
            </label>
          )}
          <label>
            Room
            <input
              name="room"
              value={room}
              onChange={(event) => setRoom(event.target.value)}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              maxLength={100}
              required={!invited}
              readOnly={invited}
              placeholder="standup"
            />
          </label>
          <button type="submit" className="primary" disabled={busy}>
            {busy ? 'Joining…' : 'Join'}
          </button>
          <p className="hint">
            {invited ? 'Your invitation is for this room.' : 'Whoever has the link to the room can join the same call. '}
            {!invited && <a href="#">Chat</a>}
          </p>
        </form>
      </div>
    </main>
  );
}

interface ToggleProps {
  on: boolean;
  name: string;
  icon: 'mic' | 'micOff' | 'camera' | 'cameraOff';
  onClick: (on: boolean) => void;
}

function Toggle({ on, name, icon, onClick }: ToggleProps) {
  const label = `Join with ${name}`;
  return (
    <button type="button" className="round" aria-label={label} title={label} aria-pressed={on} onClick={() => onClick(!on)}>
      <Icon name={icon} />
    </button>
  );
}
