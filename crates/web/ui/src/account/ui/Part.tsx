// A part of a page: a heading, what it is about, and what one does there. And what a page says while nothing is there yet.

import type { ReactNode } from 'react';

export function Part({ title, about, children }: { title: string; about?: string; children: ReactNode }) {
  return (
    <section className="part" aria-label={title}>
      <h2>{title}</h2>
      {about && <p className="dim">{about}</p>}
      {children}
    </section>
  );
}

/** Before the first answer. */
export function Waiting({ problem, onAgain }: { problem: string; onAgain?: () => void }) {
  if (!problem) return <p className="dim" role="status">Looking…</p>;
  return (
    <div className="buttons">
      <p className="refused" role="alert">{problem}</p>
      {onAgain && (
        <button type="button" className="link" onClick={onAgain}>
          Try again
        </button>
      )}
    </div>
  );
}
