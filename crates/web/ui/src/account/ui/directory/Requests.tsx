// What waits for somebody who runs the organisation: people at the door, and edits of profiles.

import type { Company } from '../../company';
import { changes } from '../settings/Profile';
import { usePolling } from '../usePolling';
import { useLoaded, useTask } from '../useTask';

interface Row {
  id: number;
  kind: 'join-requests' | 'edit-requests';
  text: string;
  /** Of somebody who wants another picture. */
  picture?: string;
}

export function Requests({ company }: { company: Company }) {
  const { value, problem, again } = useWaiting(company);
  const task = useTask();
  if (problem || task.problem) return <p className="refused" role="alert">{problem || task.problem}</p>;
  if (!value?.length) return null;
  const decide = ({ kind, id }: Row, approve: boolean) => void task.run(() => company.decide(kind, id, approve).finally(again));
  return (
    <ul className="requests" aria-label="Waiting for you">
      {value.map((row) => (
        <li key={`${row.kind} ${row.id}`}>
          <p>{row.text}</p>
          {row.picture && <img className="asked-picture" src={row.picture} alt="The picture that is asked for" />}
          <div className="buttons">
            <button type="button" className="primary" disabled={task.busy} onClick={() => decide(row, true)}>
              Agree
            </button>
            <button type="button" className="secondary" disabled={task.busy} onClick={() => decide(row, false)}>
              Refuse
            </button>
          </div>
        </li>
      ))}
    </ul>
  );
}

function useWaiting(company: Company) {
  const loaded = useLoaded(async (): Promise<Row[]> => {
    const [asking, edits] = await Promise.all([company.asking(), company.edits(), company.load()]);
    const names = await Promise.all(edits.map(({ account }) => company.nameOf(account)));
    return [
      ...asking.map(({ id, display_name }) => ({ id, kind: 'join-requests' as const, text: `${display_name} asks to join ${company.org.title}.` })),
      ...edits.map((edit, at) => ({ id: edit.id, kind: 'edit-requests' as const, text: `${names[at]} wants to change: ${changes(company, edit)}.`, picture: edit.picture })),
    ];
  }, company);
  usePolling(loaded.again);
  return loaded;
}
