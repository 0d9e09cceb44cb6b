// Keys that are for an input method, as Chinese and Japanese are written with, and not for the page.

import type { KeyboardEvent } from 'react';

/** What browsers say of a key that an input method has taken. */
const TAKEN = 229;

/** Safari ends the composition before it tells of the key that did (WebKit bug 165004): there only the code says it. */
export function isComposing({ nativeEvent }: Pick<KeyboardEvent, 'nativeEvent'>): boolean {
  return nativeEvent.isComposing || nativeEvent.keyCode === TAKEN;
}
