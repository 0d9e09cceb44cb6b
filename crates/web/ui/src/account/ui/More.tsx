// Asks for the next page of a list.

import type { Pages } from './usePages';

export function More({ pages: { more, busy } }: { pages: Pages<unknown> }) {
  if (!more) return null;
  return (
    <button type="button" className="link" disabled={busy} onClick={more}>
      {busy ? 'Looking…' : 'Show more'}
    </button>
  );
}
