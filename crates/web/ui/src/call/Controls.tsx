// Microphone, camera, screen, the choice of devices, invitation, leave.

import { useLocalParticipant, useLocalParticipantPermissions } from '@livekit/components-react';
import { useEffect, useState } from 'react';

import { Icon } from '../icons';
import { inviteLink } from '../link';
import type { Device } from '../problems';

import { Devices } from './Devices';
import { maySend } from './permissions';

interface Props {
  /** Empty: there is no link to invite with. */
  room: string;
  toggle: (device: Device, on: boolean) => Promise<void>;
  onLeave: () => void;
}

export function Controls({ room, toggle, onLeave }: Props) {
  const { isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();
  const permissions = useLocalParticipantPermissions();
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === 'function'; // phones cannot
  return (
    <nav className="controls" aria-label="Call controls">
      {maySend(permissions, 'microphone') && (
        <DeviceButton
          on={isMicrophoneEnabled}
          label={isMicrophoneEnabled ? 'Mute microphone' : 'Unmute microphone'}
          icon={isMicrophoneEnabled ? 'mic' : 'micOff'}
          toggle={(on) => toggle('microphone', on)}
        />
      )}
      {maySend(permissions, 'camera') && (
        <DeviceButton
          on={isCameraEnabled}
          label={isCameraEnabled ? 'Turn camera off' : 'Turn camera on'}
          icon={isCameraEnabled ? 'camera' : 'cameraOff'}
          toggle={(on) => toggle('camera', on)}
        />
      )}
      {canShare && maySend(permissions, 'screen') && (
        <DeviceButton
          on={isScreenShareEnabled}
          label={isScreenShareEnabled ? 'Stop sharing' : 'Share screen'}
          icon={isScreenShareEnabled ? 'screenOff' : 'screen'}
          toggle={(on) => toggle('screen', on)}
          quiet
        />
      )}
      <ChooseDevices />
      {room && <CopyLink room={room} />}
      <button type="button" className="round leave" aria-label="Leave" title="Leave" onClick={onLeave}>
        <Icon name="leave" />
      </button>
    </nav>
  );
}

interface DeviceProps {
  on: boolean;
  label: string;
  icon: 'mic' | 'micOff' | 'camera' | 'cameraOff' | 'screen' | 'screenOff';
  toggle: (on: boolean) => Promise<void>;
  /** Being off is nothing to point at. */
  quiet?: boolean;
}

function DeviceButton({ on, label, icon, toggle, quiet }: DeviceProps) {
  const [busy, setBusy] = useState(false);
  const click = () => {
    setBusy(true);
    void toggle(!on).finally(() => setBusy(false));
  };
  return (
    <button
      type="button"
      className={quiet ? 'round quiet' : 'round'}
      aria-label={label}
      title={label}
      aria-pressed={on}
      disabled={busy}
      onClick={click}
    >
      <Icon name={icon} />
    </button>
  );
}

function ChooseDevices() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="round quiet" aria-label="Devices" title="Devices" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        <Icon name="sliders" />
      </button>
      {open && <Devices onClose={() => setOpen(false)} />}
    </>
  );
}

const COPIED_MS = 2000;

function CopyLink({ room }: { room: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = async () => {
    const link = inviteLink(room);
    try {
      await navigator.clipboard.writeText(link);
      setCopied(true);
    } catch {
      window.prompt('Copy this link', link); // no clipboard without a secure context
    }
  };
  const label = copied ? 'Link copied' : 'Copy invitation link';
  return (
    <>
      <button type="button" className="round quiet" aria-label={label} title={label} onClick={() => void copy()}>
        <Icon name={copied ? 'check' : 'link'} />
      </button>
      <span className="hidden" role="status">
        {copied ? 'Link copied' : ''}
      </span>
    </>
  );
}
