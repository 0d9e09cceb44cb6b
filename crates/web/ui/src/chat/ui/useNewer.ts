// Whether the server has another page by now, as after an update: a tab that stays open for weeks runs the one it began with.

import { useEffect, useState } from 'react';

/** The script that a page begins with; its name is of its content. */
const SCRIPT = /\/assets\/[\w-]+\.js/;

export const scriptOf = (page: string) => SCRIPT.exec(page)?.[0];

/** Asked whenever chat connects: only then may the server be another one. */
export function useNewer(isOnline: boolean): boolean {
  const [newer, setNewer] = useState(false);
  useEffect(() => {
    if (!isOnline) return undefined;
    let left = false;
    void isAnother().then((another) => left || setNewer(another));
    return () => {
      left = true;
    };
  }, [isOnline]);
  return newer;
}

async function isAnother(): Promise<boolean> {
  const own = scriptOf(document.querySelector<HTMLScriptElement>('script[type="module"]')?.src ?? '');
  if (!own) return false; // while it is developed
  try {
    const response = await fetch('/', { cache: 'no-cache' });
    const theirs = response.ok ? scriptOf(await response.text()) : undefined;
    return theirs !== undefined && theirs !== own;
  } catch {
    return false; // asked again with the next connection
  }
}
