// What stands in the writing field: the draft of a conversation, or another wording of a message while that is edited. The draft
// waits meanwhile.

import { useLayoutEffect, useState } from 'react';

import { useClient } from './useClient';
import type { Shown } from './view';

export function useText(conv: number, editing: Shown | undefined): { text: string; setText: (text: string) => void } {
  const { drafts } = useClient();
  const [draft, setDraft] = useState(() => drafts.of(conv));
  const [wording, setWording] = useState('');
  // Before it is painted, so that the wording of another message is never seen.
  useLayoutEffect(() => {
    if (editing) setWording(editing.text);
  }, [editing]);
  const keep = (text: string) => {
    setDraft(text);
    drafts.set(conv, text);
  };
  return editing ? { text: wording, setText: setWording } : { text: draft, setText: keep };
}
