// A voice message while it is recorded: since when, how long, and what went wrong.

import { useCallback, useEffect, useState } from 'react';

import { forDevice, type Problem } from '../../problems';
import { Microphone } from '../microphone';

export interface Recorder {
  /** The device opens. */
  starting: boolean;
  recording: boolean;
  /** Since when, so far. */
  elapsedMs: number;
  problem?: Problem;
  start: () => Promise<void>;
  /** Ends it; answers the recording. */
  finish: () => Promise<Blob | undefined>;
  cancel: () => void;
}

export function useRecorder(maxMs: number): Recorder {
  const [microphone] = useState(() => new Microphone());
  const [starting, setStarting] = useState(false);
  const [startedAt, setStartedAt] = useState<number>();
  const [elapsedMs, setElapsedMs] = useState(0);
  const [problem, setProblem] = useState<Problem>();

  const start = useCallback(async () => {
    setProblem(undefined);
    setStarting(true);
    try {
      if (!(await microphone.start())) return; // whoever gave it up, or began anew, says how it stands
      setElapsedMs(0);
      setStartedAt(performance.now());
    } catch (error) {
      setProblem(forDevice('microphone', error));
    }
    setStarting(false);
  }, [microphone]);
  const cancel = useCallback(() => {
    microphone.cancel();
    setStarting(false);
    setStartedAt(undefined);
  }, [microphone]);
  const finish = useCallback(() => {
    setStartedAt(undefined); // before it is packed: the next one may have begun by then
    return microphone.finish();
  }, [microphone]);

  useEffect(() => {
    if (startedAt === undefined) return undefined;
    const timer = setInterval(() => {
      const elapsed = performance.now() - startedAt;
      setElapsedMs(elapsed);
      if (elapsed >= maxMs) microphone.pause(); // the rest would be refused
    }, 200);
    return () => clearInterval(timer);
  }, [microphone, startedAt, maxMs]);
  useEffect(() => cancel, [cancel]);

  return { starting, recording: startedAt !== undefined, elapsedMs: Math.min(elapsedMs, maxMs), problem, start, finish, cancel };
}
