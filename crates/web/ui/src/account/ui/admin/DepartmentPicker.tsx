// Some departments of all.

import { Icon } from '../../../icons';
import type { Company } from '../../company';
import { inTreeOrder } from '../../structure';

interface Props {
  company: Company;
  label: string;
  chosen: readonly number[];
  /** Without it they are shown, not chosen. */
  disabled: boolean;
  onChange: (chosen: number[]) => void;
}

export function DepartmentPicker({ company, label, chosen, disabled, onChange }: Props) {
  const left = inTreeOrder(company.departments).filter(({ department: { id } }) => !chosen.includes(id));
  const name = (id: number) => company.pathOf(id) || `department ${id}, which is gone`;
  return (
    <div className="field">
      <span>{label}</span>
      {chosen.length === 0 && <span>None.</span>}
      <ul className="chips" aria-label={label}>
        {chosen.map((id) => (
          <li key={id}>
            {name(id)}
            {!disabled && (
              <button type="button" className="plain" aria-label={`Take out ${name(id)}`} onClick={() => onChange(chosen.filter((one) => one !== id))}>
                <Icon name="close" />
              </button>
            )}
          </li>
        ))}
      </ul>
      {!disabled && (
        <select aria-label={`Add to: ${label}`} value={0} disabled={!left.length} onChange={(event) => onChange([...chosen, Number(event.target.value)])}>
          <option value={0}>{company.departments.length ? 'Add a department…' : 'There are no departments yet'}</option>
          {left.map(({ department: { id } }) => (
            <option key={id} value={id}>
              {name(id)}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}
