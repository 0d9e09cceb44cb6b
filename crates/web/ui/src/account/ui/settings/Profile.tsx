// A member's profile: edited by the member as the organisation lets them, by administrators as their scopes let them.

import { type FormEvent, useState } from 'react';

import { type Company, type Detail, type Edit, type FieldRule, may, type Member, type Place, type Waiting } from '../../company';
import { inTreeOrder } from '../../structure';
import { type Loaded, useLoaded, useTask } from '../useTask';

const FIELDS = [
  { name: 'display_name', label: 'Name', max: 128, required: true },
  { name: 'about', label: 'About', max: 512, required: false },
  { name: 'email', label: 'Mail', max: 254, required: false },
  { name: 'workplace', label: 'Workplace', max: 128, required: false },
  { name: 'employee_number', label: 'Employee number', max: 64, required: false },
] as const;

type Fields = Record<(typeof FIELDS)[number]['name'], string>;
type Rule = (field: string) => FieldRule;

interface Known {
  detail: Detail;
  rule: Rule;
}

/** One's own. */
export function Profile({ company }: { company: Company }) {
  const loaded = useLoaded<Known>(async () => {
    const [detail, rule] = await Promise.all([company.detail(company.login.account.id), company.rules(), company.load()]);
    const { member } = detail;
    // Administrators of members need nobody's agreement.
    const free = may(member, 'members');
    return { detail, rule: free ? () => 'free' : rule };
  }, company);
  if (!loaded.value) return loaded.problem ? <p className="refused" role="alert">{loaded.problem}</p> : <p className="dim">Looking…</p>;
  return <Form key={loaded.value.detail.waiting?.id ?? 0} company={company} known={loaded.value} loaded={loaded} />;
}

function Form({ company, known, loaded }: { company: Company; known: Known; loaded: Loaded<Known> }) {
  const { detail, rule } = known;
  const withdraw = useTask();
  return (
    <>
      {detail.waiting && (
        <div className="told" role="status">
          Waiting for an administrator: {changes(company, detail.waiting)}.
          <button type="button" className="link" disabled={withdraw.busy} onClick={() => void withdraw.run(async () => {
            await company.decide('edit-requests', detail.waiting?.id ?? 0, false);
            loaded.again();
          })}>
            Take it back
          </button>
        </div>
      )}
      {withdraw.problem && <p className="refused" role="alert">{withdraw.problem}</p>}
      <ProfileForm company={company} member={detail.member} rule={rule} onSaved={loaded.again} />
    </>
  );
}

/** What is to be another, in words. */
export function changes(company: Company, { edit, picture }: Pick<Waiting, 'edit' | 'picture'>): string {
  const said = FIELDS.flatMap(({ name, label }) => (edit[name] === undefined ? [] : [`${label} “${edit[name]}”`]));
  if (edit.places) said.push(edit.places.length ? `Place “${company.placeOf({ places: edit.places })}”` : 'no department and no position');
  if (picture !== undefined) said.push(picture ? 'another picture' : 'no picture');
  return said.join(', ');
}

interface FormProps {
  company: Company;
  member: Member;
  rule: Rule;
  onSaved: () => void;
}

export function ProfileForm({ company, member, rule, onSaved }: FormProps) {
  const [fields, setFields] = useState<Fields>(() => Object.fromEntries(FIELDS.map(({ name }) => [name, member[name]])) as Fields);
  const [place, setPlace] = useState<Place>(() => member.places[0] ?? { department: 0 });
  const [said, setSaid] = useState('');
  const { busy, problem, run } = useTask();
  const edit = difference(member, fields, place);
  const save = (event: FormEvent) => {
    event.preventDefault();
    setSaid('');
    void run(async () => {
      const { waiting } = await company.edit(member.account, edit);
      setSaid(waiting ? 'Saved, as far as nobody has to agree to it.' : 'Saved.');
      onSaved();
    });
  };
  const locked = (name: string) => rule(name) === 'locked';
  const hint = (name: string) => (rule(name) === 'approval' ? ' (an administrator has to agree)' : locked(name) ? ' (only administrators change it)' : '');
  return (
    <form className="fields" onSubmit={save} aria-label={`Profile of ${member.display_name}`}>
      {FIELDS.map(({ name, label, max, required }) => (
        <label key={name} className="field">
          {label + hint(name)}
          <input value={fields[name]} maxLength={max} required={required} readOnly={locked(name)} type={name === 'email' ? 'email' : 'text'} dir="auto" onChange={(event) => setFields({ ...fields, [name]: event.target.value })} />
        </label>
      ))}
      <Choice label={`Department${hint('departments')}`} disabled={locked('departments')} value={place.department} none="None" options={inTreeOrder(company.departments).map(({ department: { id } }) => ({ id, name: company.pathOf(id) }))} onChoose={(department) => setPlace({ ...place, department })} />
      <Choice label={`Position${hint('positions')}`} disabled={locked('positions')} value={place.position ?? 0} none="None" options={company.positions} onChoose={(position) => setPlace({ ...place, position: position || null })} />
      {problem && <p className="refused" role="alert">{problem}</p>}
      <div className="buttons">
        <button type="submit" className="secondary" disabled={busy || !Object.keys(edit).length}>
          Save profile
        </button>
        {said && <span className="dim" role="status">{said}</span>}
      </div>
    </form>
  );
}

/** Only what differs: the rest may be another's to change. */
function difference(member: Member, fields: Fields, place: Place): Edit {
  const edit: Edit = {};
  for (const { name } of FIELDS) if (fields[name].trim() !== member[name]) edit[name] = fields[name].trim();
  const [first, ...others] = member.places;
  const moved = place.department !== (first?.department ?? 0) || (place.position ?? 0) !== (first?.position ?? 0);
  const nowhere = !place.department && !place.position;
  if (moved) edit.places = nowhere ? others : [place, ...others];
  return edit;
}

interface ChoiceProps {
  label: string;
  value: number;
  none: string;
  disabled: boolean;
  options: { id: number; name: string }[];
  onChoose: (id: number) => void;
}

function Choice({ label, value, none, disabled, options, onChoose }: ChoiceProps) {
  return (
    <label className="field">
      {label}
      <select aria-label={label} value={value} disabled={disabled} onChange={(event) => onChoose(Number(event.target.value))}>
        <option value={0}>{none}</option>
        {options.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
