// The call, in a file of its own: with the SDK it is half of the client, and who came to read should not wait for it.

import { type ComponentType, useEffect, useState } from 'react';

import { problems } from '../problems';

import type { Props } from './Call';

let call: ComponentType<Props> | undefined;

/** Has it ready before somebody wants to see it: a server that was replaced meanwhile would not have this file any more. */
export async function loadCall(): Promise<ComponentType<Props>> {
  call ??= (await import('./Call')).Call;
  return call;
}

export function LateCall(props: Props) {
  const [Loaded, setLoaded] = useState(() => call);
  const { onLeave } = props;

  useEffect(() => {
    let gone = false;
    if (!Loaded) {
      loadCall().then(
        (loaded) => gone || setLoaded(() => loaded),
        () => gone || onLeave(navigator.onLine ? problems.outdated : problems.offline),
      );
    }
    return () => {
      gone = true;
    };
  }, [Loaded, onLeave]);

  if (Loaded) return <Loaded {...props} />;
  return (
    <main className="call" data-lk-theme="default" data-state="loading">
      <div className="banner" role="status">
        <span className="spinner" aria-hidden="true" /> Connecting…
      </div>
    </main>
  );
}
