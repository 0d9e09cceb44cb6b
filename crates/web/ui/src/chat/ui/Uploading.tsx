// A file on its way: how far it is, and what can be done about it.

import { Icon } from '../../icons';
import type { Upload } from '../uploads';

import { size } from './format';
import { useClient } from './useClient';

export function Uploading({ upload, progress, problem }: { upload: Upload; progress: number; problem?: string }) {
  const client = useClient();
  const percent = Math.round(progress * 100);
  const name = upload.kind === 'voice' ? 'Voice message' : upload.name;
  return (
    <li className="message own first">
      <div className="bubble">
        <div className="file">
          <Icon name={upload.kind === 'voice' ? 'mic' : 'file'} />
          <div className="grow">
            <strong>{name}</strong>
            <span className="dim">{problem ?? `${size(upload.file.size)} · ${client.isOnline ? `${percent} %` : 'waits for the network'}`}</span>
          </div>
          <button type="button" className="plain" aria-label={`Do not send ${name}`} onClick={() => client.uploads.discard(upload.clientId)}>
            <Icon name="close" />
          </button>
        </div>
        {problem ? (
          <button type="button" className="link" onClick={() => client.uploads.retry(upload.clientId)}>
            Try again
          </button>
        ) : (
          <progress value={percent} max={100} aria-label={`Sending ${name}`} />
        )}
      </div>
    </li>
  );
}
