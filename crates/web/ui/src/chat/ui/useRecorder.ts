// The microphone as MediaRecorder packs it: Opus, which the server measures and makes into Ogg.

import { useCallback, useEffect, useRef, useState } from 'react';

import { forDevice, type Problem } from '../../problems';

const TYPES = ['audio/webm;codecs=opus', 'audio/ogg;codecs=opus'];
const PIECE_MS = 250;

export interface Recorder {
  recording: boolean;
  /** Since when, so far. */
  elapsedMs: number;
  problem?: Problem;
  start: () => Promise<void>;
  /** Ends it; answers the recording. */
  finish: () => Promise<Blob | undefined>;
  cancel: () => void;
}

/** Whether this browser records what the server understands. */
export const canRecord = () =>
  typeof MediaRecorder === 'function' && !!navigator.mediaDevices && TYPES.some((type) => MediaRecorder.isTypeSupported(type));

export function useRecorder(maxMs: number): Recorder {
  const recorder = useRef<MediaRecorder>();
  const pieces = useRef<Blob[]>([]);
  const [startedAt, setStartedAt] = useState<number>();
  const [elapsedMs, setElapsedMs] = useState(0);
  const [problem, setProblem] = useState<Problem>();

  const cancel = useCallback(() => {
    const { current } = recorder;
    recorder.current = undefined;
    setStartedAt(undefined);
    if (!current) return;
    current.ondataavailable = null;
    if (current.state !== 'inactive') current.stop();
    current.stream.getTracks().forEach((track) => track.stop());
  }, []);

  const start = useCallback(async () => {
    setProblem(undefined);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
      const made = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 32_000 });
      pieces.current = [];
      made.ondataavailable = (event) => pieces.current.push(event.data);
      made.start(PIECE_MS);
      recorder.current = made;
      setElapsedMs(0);
      setStartedAt(performance.now());
    } catch (error) {
      setProblem(forDevice('microphone', error));
    }
  }, []);

  const finish = useCallback(async () => {
    const { current } = recorder;
    if (!current) return undefined;
    if (current.state !== 'inactive') {
      const stopped = new Promise((resolve) => current.addEventListener('stop', resolve, { once: true }));
      current.stop();
      await stopped;
    }
    const recording = new Blob(pieces.current, { type: current.mimeType });
    cancel();
    return recording;
  }, [cancel]);

  useEffect(() => {
    if (startedAt === undefined) return undefined;
    const timer = setInterval(() => {
      const elapsed = performance.now() - startedAt;
      setElapsedMs(elapsed);
      // The rest would be refused: what is there stays, to be sent.
      if (elapsed >= maxMs && recorder.current?.state === 'recording') recorder.current.pause();
    }, 200);
    return () => clearInterval(timer);
  }, [startedAt, maxMs]);
  useEffect(() => cancel, [cancel]);

  return { recording: startedAt !== undefined, elapsedMs: Math.min(elapsedMs, maxMs), problem, start, finish, cancel };
}
