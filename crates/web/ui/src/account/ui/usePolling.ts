// Asks now and then for what others change, while somebody looks.

import { useEffect, useRef } from 'react';

/** How old what is shown may be. */
const LOOK_MS = 20_000;

/** Calls `look` while the page is visible, and as soon as it is again. */
export function usePolling(look: () => void) {
  const latest = useRef(look);
  latest.current = look;
  useEffect(() => {
    const visibly = () => document.visibilityState === 'visible' && latest.current();
    const timer = setInterval(visibly, LOOK_MS);
    document.addEventListener('visibilitychange', visibly);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', visibly);
    };
  }, []);
}
