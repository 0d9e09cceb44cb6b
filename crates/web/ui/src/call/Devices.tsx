// The choice of microphone, camera and speaker in a call; what is chosen is remembered. Beside the microphone: whether it hears.

import { useLocalParticipant, useLocalParticipantPermissions, useMediaDeviceSelect, useTrackVolume } from '@livekit/components-react';
import { type LocalAudioTrack, Track } from 'livekit-client';
import { useCallback, useState } from 'react';

import { Dialog } from '../Dialog';
import { Notice } from '../Notice';
import { forDevice, type Problem } from '../problems';

import { canChooseSpeaker, choose, type Kind, nameOf } from './devices';
import { maySend } from './permissions';

export function Devices({ onClose }: { onClose: () => void }) {
  const permissions = useLocalParticipantPermissions();
  const { localParticipant, isMicrophoneEnabled } = useLocalParticipant();
  const [problem, setProblem] = useState<Problem>();
  const microphone = localParticipant.getTrackPublication(Track.Source.Microphone)?.audioTrack;
  return (
    <Dialog title="Devices" onClose={onClose}>
      {problem && <Notice problem={problem} onClose={() => setProblem(undefined)} />}
      {maySend(permissions, 'microphone') && (
        <>
          <Choice kind="audioinput" label="Microphone" onProblem={setProblem} />
          {isMicrophoneEnabled ? <Level track={microphone as LocalAudioTrack | undefined} /> : <p className="hint">It is muted.</p>}
        </>
      )}
      {maySend(permissions, 'camera') && <Choice kind="videoinput" label="Camera" onProblem={setProblem} />}
      {canChooseSpeaker() && <Choice kind="audiooutput" label="Speaker" onProblem={setProblem} />}
    </Dialog>
  );
}

interface ChoiceProps {
  kind: Kind;
  label: string;
  onProblem: (problem?: Problem) => void;
}

function Choice({ kind, label, onProblem }: ChoiceProps) {
  const [busy, setBusy] = useState(false);
  const failed = useCallback(
    (error: unknown) => onProblem(forDevice(kind === 'videoinput' ? 'camera' : 'microphone', error)),
    [kind, onProblem],
  );
  const { devices, activeDeviceId, setActiveMediaDevice } = useMediaDeviceSelect({ kind, requestPermissions: false });
  const take = (id: string) => {
    setBusy(true);
    onProblem(undefined);
    setActiveMediaDevice(id)
      .then(() => choose(kind, id), failed)
      .finally(() => setBusy(false));
  };
  // Where the browser has taken one by itself, it may go by another name than those of the list.
  const active = devices.find((device) => device.deviceId === activeDeviceId) ?? devices[0];
  return (
    <label className="device">
      {label}
      <select value={active?.deviceId} disabled={busy || devices.length === 0} onChange={(event) => take(event.target.value)}>
        {devices.length === 0 && <option>None found</option>}
        {devices.map((device, number) => (
          <option key={device.deviceId} value={device.deviceId}>
            {nameOf(device, number, label)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Level({ track }: { track?: LocalAudioTrack }) {
  const volume = useTrackVolume(track);
  return <meter className="level" aria-label="How loud the microphone is" min={0} max={1} value={volume} />;
}
