// A button for what cannot be undone: it asks once more.

import { useState } from 'react';

interface Props {
  /** What the button says at first. */
  action: string;
  /** What the second one says: it names what goes. */
  sure: string;
  busy: boolean;
  onSure: () => void;
}

export function Confirm({ action, sure, busy, onSure }: Props) {
  const [asked, setAsked] = useState(false);
  if (!asked) {
    return (
      <button type="button" className="secondary danger" disabled={busy} onClick={() => setAsked(true)}>
        {action}
      </button>
    );
  }
  return (
    <>
      <button type="button" className="secondary danger" disabled={busy} autoFocus onClick={onSure}>
        {sure}
      </button>
      <button type="button" className="link" onClick={() => setAsked(false)}>
        Keep
      </button>
    </>
  );
}
