// Work that takes a while and may fail: busy meanwhile, and what went wrong in words.

import { useCallback, useEffect, useState } from 'react';

import { Cut } from '../../chat/session';

export function words(error: unknown): string {
  if (error instanceof Cut) return 'There is no connection to the server. Try again when it is back.';
  return error instanceof Error && error.message ? error.message : 'That did not work. Try again in a moment.';
}

export interface Task {
  busy: boolean;
  problem: string;
  setProblem: (problem: string) => void;
  /** Answers whether it went well. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useTask(): Task {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const run = useCallback(async (work: () => Promise<unknown>) => {
    setBusy(true);
    setProblem('');
    try {
      await work();
      return true;
    } catch (error) {
      setProblem(words(error));
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  return { busy, problem, setProblem, run };
}

export interface Loaded<T> {
  /** What came last; it stays while it is asked for anew. */
  value?: T;
  problem: string;
  again: () => void;
}

/** What the server says, asked for when `key` changes. */
export function useLoaded<T>(load: () => Promise<T>, key: unknown): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [problem, setProblem] = useState('');
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let left = false;
    load().then(
      (came) => {
        if (left) return;
        setValue(came);
        setProblem('');
      },
      (error: unknown) => left || setProblem(words(error)),
    );
    return () => {
      left = true;
    };
    // `load` is another one each time; what it depends on is in `key`.
  }, [key, turn]);
  return { value, problem, again: useCallback(() => setTurn((before) => before + 1), []) };
}
