// What the server refused of what one did beside writing: said until somebody has seen it, since it would wait for ever else.

import type { Conversation } from '../replica/conversation';

import { refusals } from './refused';
import { useClient } from './useClient';

/** Rows of a list. */
export function Refusals({ conversation }: { conversation: Conversation }) {
  const client = useClient();
  return refusals(client.replica.outgoing(conversation.id), client.people, client.me.id).map(({ clientId, text, again }) => (
    <li key={clientId} className="note">
      <p className="refused" role="alert">
        {text}
        {again && (
          <button type="button" className="link" onClick={() => client.retry(clientId)}>
            Try again
          </button>
        )}
        <button type="button" className="link" onClick={() => client.discard(clientId)}>
          Discard
        </button>
      </p>
    </li>
  ));
}
