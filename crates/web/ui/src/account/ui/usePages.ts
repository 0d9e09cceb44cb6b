// A list that comes in pages: the first at once, each further one when somebody asks for it.

import { useCallback, useEffect, useRef, useState } from 'react';

import { words } from './useTask';

export interface Page<T> {
  rows: T[];
  next?: string | null;
}

export interface Pages<T> {
  /** None before the first page. */
  rows?: T[];
  problem: string;
  busy: boolean;
  /** Absent: there are no more. */
  more?: () => void;
  /** From the first page on. */
  again: () => void;
}

interface Known<T> {
  key: unknown;
  rows: T[];
  next?: string;
}

/** The list that `load` reads, another one when `key` changes. */
export function usePages<T>(load: (cursor?: string) => Promise<Page<T>>, key: unknown): Pages<T> {
  const [known, setKnown] = useState<Known<T>>();
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const turn = useRef(0);
  const latest = useRef(load);
  latest.current = load;
  const read = useCallback(
    async (cursor?: string) => {
      const mine = (turn.current += 1);
      setBusy(true);
      setProblem('');
      try {
        const { rows, next } = await latest.current(cursor);
        if (mine !== turn.current) return;
        setKnown((before) => ({ key, rows: cursor && before ? [...before.rows, ...rows] : rows, next: next ?? undefined }));
      } catch (error) {
        if (mine === turn.current) setProblem(words(error));
      } finally {
        if (mine === turn.current) setBusy(false);
      }
    },
    [key],
  );
  useEffect(() => {
    void read();
    return () => void (turn.current += 1);
  }, [read]);
  const current = known?.key === key ? known : undefined;
  const next = current?.next;
  return { rows: current?.rows, problem, busy, more: next ? () => void read(next) : undefined, again: useCallback(() => void read(), [read]) };
}
