// Where a blob is loaded from. The server's addresses stand for an hour, and a page is open for days: one that is too old is
// replaced when somebody reaches for the blob, and once when it could not be loaded. Never by itself, which would load every
// picture anew.

import { type MouseEvent, useEffect, useRef, useState } from 'react';

import type { BlobRef } from '../../wire/im.gen';

import { useClient } from './useClient';

export interface Source {
  /** None until the server has given one. */
  path?: string;
  /** Somebody is about to use it. Answers an address that is good, where the server gives one. */
  reach: () => Promise<string | undefined>;
  /** It could not be loaded. */
  failed: () => void;
}

export function useBlob(conv: number, blob: BlobRef | undefined): Source {
  const { links, isOnline } = useClient();
  const [path, setPath] = useState<string>();
  /** One that has failed. If the next one does as well, it is not for its age. */
  const [stale, setStale] = useState<string>();
  useEffect(() => {
    if (!blob || path || !isOnline) return undefined;
    let left = false;
    links.path(conv, blob, stale).then((given) => left || setPath(given), () => undefined);
    return () => {
      left = true;
    };
  }, [links, conv, blob, path, stale, isOnline]);
  const reach = async () => {
    const given = blob && (await links.path(conv, blob, stale).catch(() => undefined));
    if (given) setPath(given);
    return given;
  };
  const failed = () => {
    if (stale) return;
    setStale(path);
    setPath(undefined);
  };
  return { path, reach, failed };
}

/** What a link to a blob is made of: its address is good when it is followed, copied or opened in another tab. */
export function useBlobLink(blob: BlobRef, { path, reach }: Source) {
  const { links } = useClient();
  const renewed = useRef(false);
  const onClick = (event: MouseEvent<HTMLAnchorElement>) => {
    const link = event.currentTarget;
    // By a clock that is wrong none is good: each click asks once.
    if (!path || renewed.current || links.serves(blob, path)) return;
    event.preventDefault();
    void reach().then((given) => {
      if (!given) return;
      renewed.current = true;
      link.href = given;
      link.click();
      renewed.current = false;
    });
  };
  return { href: path, onPointerDown: reach, onFocus: reach, onClick };
}
