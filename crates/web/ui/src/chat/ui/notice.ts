// Notices as the browser shows them, and what they say.

import type { Client } from '../client';
import type { Show, Text } from '../notices';
import type { Conversation } from '../replica/conversation';
import type { Event } from '../../wire/im.gen';

import { noteOf } from './notes';
import { shownOf, summary } from './view';

/** Whether the browser would ask the user: it has notices, and nobody has said yes or no. */
export function canAsk(): boolean {
  return 'Notification' in window && Notification.permission === 'default';
}

export async function ask() {
  await Notification.requestPermission();
}

/** Whether somebody looks at a conversation: at the page, or with the page beside something else, at just this one. */
export function looksAt(conv: number): boolean {
  return document.visibilityState === 'visible' && (document.hasFocus() || location.hash === `#c=${conv}`);
}

export const show: Show = ({ title, body }, { tag, again, stays, onOpen }) => {
  if (!('Notification' in window) || Notification.permission !== 'granted') return () => undefined;
  // TypeScript's type lacks `renotify`, which not all browsers have.
  const options: NotificationOptions & { renotify?: boolean } = { body, tag, renotify: again, requireInteraction: stays };
  try {
    const notice = new Notification(title, options);
    notice.onclick = () => {
      window.focus();
      onOpen();
      notice.close();
    };
    return () => notice.close();
  } catch {
    return () => undefined; // browsers of phones have them for service workers only
  }
};

/** What stands on the tab. */
export function pageTitle(unread: number, caller?: string): string {
  if (caller) return `${caller} is calling · Convene`;
  return unread ? `(${unread}) Convene` : 'Convene';
}

/** What a message says to who does not see the conversation. Nothing while its sender's name is on the way. */
export function words(client: Client, conversation: Conversation, event: Event): Text | undefined {
  const { people, me } = client;
  if (event.sender && !people.isKnown(event.sender)) return undefined;
  const title = client.titleOf(conversation);
  if (event.body?.kind?.case === 'call') return { title, body: noteOf(event, conversation, people, me.id)?.text ?? '' };
  const text = summary(event.body, shownOf(conversation, event).text);
  return { title, body: conversation.state.peer ? text : `${people.name(event.sender)}: ${text}` };
}
