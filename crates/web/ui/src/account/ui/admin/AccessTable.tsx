// Requests, one a row.

import { stamp } from '../../../chat/ui/format';
import type { Access } from '../../records';

interface Props {
  rows: Access[];
  /** Of several people: how each is called, and what a click on that does. */
  nameOf?: (account: number) => string;
  onName?: (account: number) => void;
}

export function AccessTable({ rows, nameOf, onName }: Props) {
  return (
    <div className="wide" tabIndex={0} role="region" aria-label="Requests">
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            {nameOf && <th scope="col">Who</th>}
            <th scope="col">From</th>
            <th scope="col">Answer</th>
            <th scope="col">What</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((entry, at) => (
            <tr key={at}>
              <td>{stamp(entry.at_s * 1000)}</td>
              {nameOf && (
                <td>
                  <button type="button" className="link" title="Only of this person" onClick={() => onName?.(entry.account ?? 0)}>
                    {nameOf(entry.account ?? 0)}
                  </button>
                </td>
              )}
              <td title={entry.client}>{entry.address}</td>
              <td title={entry.code || undefined}>{entry.status}</td>
              <td className="wraps">{entry.endpoint}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
