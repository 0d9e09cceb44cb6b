// One department or position: its name, its place among the others, and what may be done about it.

import { type FormEvent, type ReactNode, useState } from 'react';

import { Icon } from '../../../icons';
import { Confirm } from '../Confirm';
import { useTask } from '../useTask';

interface Props {
  name: string;
  note?: string;
  first: boolean;
  last: boolean;
  onOpen?: () => void;
  onRename: (name: string) => Promise<void>;
  onMove: (by: -1 | 1) => Promise<void>;
  onRemove: () => Promise<void>;
  /** More that may be changed about it. */
  children?: ReactNode;
}

export function StructureRow({ name, note, first, last, onOpen, onRename, onMove, onRemove, children }: Props) {
  const [editing, setEditing] = useState(false);
  const { busy, problem, run } = useTask();
  const move = (by: -1 | 1) => void run(() => onMove(by));
  const arrow = (by: -1 | 1, words: string, icon: 'up' | 'down', end: boolean) => (
    <button type="button" className="round small" disabled={busy || end} aria-label={`Move ${name} ${words}`} title={`Move ${words}`} onClick={() => move(by)}>
      <Icon name={icon} />
    </button>
  );
  return (
    <li aria-label={name}>
      <div className="grow">
        {onOpen ? (
          <button type="button" className="link name" title={`What stands below ${name}`} onClick={onOpen}>
            {name}
          </button>
        ) : (
          <strong>{name}</strong>
        )}
        {note && <p className="dim">{note}</p>}
        {problem && <p className="refused" role="alert">{problem}</p>}
      </div>
      <div className="buttons">
        {arrow(-1, 'up', 'up', first)}
        {arrow(1, 'down', 'down', last)}
        <button type="button" className="secondary" aria-expanded={editing} aria-label={`Change ${name}`} onClick={() => setEditing(!editing)}>
          Change
        </button>
      </div>
      {editing && (
        <div className="fields whole">
          <Rename name={name} onRename={(next) => onRename(next).then(() => setEditing(false))} />
          {children}
          <div className="buttons">
            <Confirm action={`Remove ${name}`} sure={`Yes, remove ${name}`} busy={busy} onSure={() => void run(onRemove)} />
          </div>
        </div>
      )}
    </li>
  );
}

function Rename({ name, onRename }: { name: string; onRename: (name: string) => Promise<void> }) {
  const [text, setText] = useState(name);
  const { busy, problem, run } = useTask();
  const next = text.trim();
  const rename = (event: FormEvent) => {
    event.preventDefault();
    void run(() => onRename(next));
  };
  return (
    <form onSubmit={rename} aria-label={`Another name for ${name}`}>
      <span className="inline">
        <input value={text} maxLength={128} required dir="auto" aria-label={`Name of ${name}`} onChange={(event) => setText(event.target.value)} />
        <button type="submit" className="secondary" disabled={busy || !next || next === name}>
          Rename
        </button>
      </span>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </form>
  );
}
