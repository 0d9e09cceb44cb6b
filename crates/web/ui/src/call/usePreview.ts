// The camera in the lobby. It is given back before the call takes it.

import { useCallback, useEffect, useRef, useState } from 'react';

import { forDevice, type Problem } from '../problems';

import { withChosen } from './devices';

export interface Preview {
  stream?: MediaStream;
  problem?: Problem;
  attach: (element: HTMLVideoElement | null) => void;
  stop: () => void;
}

export function usePreview(wanted: boolean): Preview {
  const [stream, setStream] = useState<MediaStream>();
  const [problem, setProblem] = useState<Problem>();
  const current = useRef<MediaStream>();

  const stop = useCallback(() => {
    current.current?.getTracks().forEach((track) => track.stop());
    current.current = undefined;
    setStream(undefined);
  }, []);

  useEffect(() => {
    if (!wanted) return setProblem(undefined);
    let left = false;
    openCamera().then(
      (opened) => {
        if (left) return opened.getTracks().forEach((track) => track.stop());
        current.current = opened;
        setStream(opened);
        setProblem(undefined);
      },
      (error: unknown) => left || setProblem(forDevice('camera', error)),
    );
    return () => {
      left = true;
      stop();
    };
  }, [wanted, stop]);

  const attach = useCallback(
    (element: HTMLVideoElement | null) => {
      if (element && stream) element.srcObject = stream;
    },
    [stream],
  );
  return { stream, problem, attach, stop };
}

async function openCamera(): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new Error('no secure context');
  const wish = { width: { ideal: 640 }, facingMode: 'user' };
  return withChosen('videoinput', (which) => navigator.mediaDevices.getUserMedia({ video: { ...wish, ...which } }));
}
