// Where one is signed in, and on what. Each can be ended from here.

import { Icon } from '../../../icons';
import { brief, fullTime } from '../../../chat/ui/format';
import type { Login } from '../../login';
import { useLoaded, useTask } from '../useTask';

interface Session {
  id: string;
  device_id: string;
  began_s: number;
  refreshed_s: number;
  current: boolean;
}

interface Device {
  id: string;
  model: string;
  system: string;
  address: string;
  seen_s: number;
  current: boolean;
}

export function Sessions({ login }: { login: Login }) {
  const { value, problem, again } = useLoaded(async () => {
    const sessions = login.get<{ sessions: Session[] }>('/v1/me/sessions');
    const devices = login.get<{ devices: Device[] }>('/v1/me/devices');
    return { ...(await sessions), ...(await devices) };
  }, login);
  const task = useTask();
  if (!value) return problem ? <p className="refused" role="alert">{problem}</p> : <p className="dim">Looking…</p>;
  const end = (path: string) => void task.run(() => login.ask('DELETE', path).finally(again));
  const signedIn = (device: Device) => value.sessions.filter((session) => session.device_id === device.id);
  return (
    <>
      {(task.problem || problem) && <p className="refused" role="alert">{task.problem || problem}</p>}
      <ul className="devices" aria-label="Devices">
        {value.devices.map((device) => (
          <li key={device.id}>
            <Icon name="screen" />
            <div className="grow">
              <strong>{[device.model || 'A device', device.system && `on ${device.system}`].filter(Boolean).join(' ')}</strong>
              {device.current && <span className="tag">this one</span>}
              <p className="dim">
                {device.address} · <time title={fullTime(device.seen_s * 1000)}>{brief(device.seen_s * 1000, Date.now())}</time>
                {!signedIn(device).length && ' · not signed in'}
              </p>
            </div>
            <div className="buttons">
              {!device.current &&
                signedIn(device).map((session) => (
                  <button key={session.id} type="button" className="secondary" disabled={task.busy} title={`Signed in ${fullTime(session.began_s * 1000)}`} onClick={() => end(`/v1/me/sessions/${session.id}`)}>
                    Sign out there
                  </button>
                ))}
              {!device.current && (
                <button type="button" className="secondary danger" disabled={task.busy} onClick={() => end(`/v1/me/devices/${device.id}`)}>
                  Forget device
                </button>
              )}
            </div>
          </li>
        ))}
      </ul>
      <button type="button" className="link" onClick={again}>
        Look again
      </button>
    </>
  );
}
