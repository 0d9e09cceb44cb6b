// How the organisation is built: its departments, level by level, and its positions.

import { useState } from 'react';

import type { Company } from '../../company';
import { addDepartment, addPosition, changeDepartment, changePosition, lastRank, removeDepartment, removePosition, reordered } from '../../structure';
import { Crumbs } from '../directory/Crumbs';
import { Part, Waiting } from '../Part';
import { useLoaded } from '../useTask';

import { AddLine } from './AddLine';
import { MoveTo } from './MoveTo';
import { StructureRow } from './StructureRow';

export function Departments({ company }: { company: Company }) {
  const { value, problem, again } = useLoaded(async () => {
    await company.load(true);
    return { departments: company.departments, positions: company.positions };
  }, company);
  if (!value) return <Waiting problem={problem} onAgain={again} />;
  return (
    <>
      {problem && <p className="refused" role="alert">{problem}</p>}
      <Tree company={company} onChanged={again} />
      <Positions company={company} onChanged={again} />
    </>
  );
}

interface Props {
  company: Company;
  onChanged: () => void;
}

const people = (count: number) => (count === 1 ? '1 person' : `${count} people`);

/** One after the other: a later one may rest on an earlier one. */
async function each<T>(all: T[], change: (one: T) => Promise<void>) {
  for (const one of all) await change(one);
}

function Tree({ company, onChanged }: Props) {
  const [at, setAt] = useState(0);
  const level = company.below(at);
  return (
    <Part title="Departments" about="A department can be removed when nobody stands in it and nothing below it.">
      <Crumbs company={company} at={at} onGo={setAt} />
      {!level.length && <p className="dim">Nothing stands below here.</p>}
      <ul className="rows" aria-label={at ? `Departments in ${company.pathOf(at)}` : 'Departments of the organisation'}>
        {level.map((department, place) => (
          <StructureRow
            key={department.id}
            name={department.name}
            note={`${people(department.members)}${department.total > department.members ? `, ${department.total} with those below` : ''}`}
            first={place === 0}
            last={place === level.length - 1}
            onOpen={() => setAt(department.id)}
            onRename={(name) => changeDepartment(company, { ...department, name }).finally(onChanged)}
            onMove={(by) => each(reordered(level, department.id, by), (one) => changeDepartment(company, one)).finally(onChanged)}
            onRemove={() => removeDepartment(company, department.id).finally(onChanged)}
          >
            <MoveTo company={company} department={department} onMove={(parent) => changeDepartment(company, { ...department, parent, rank: lastRank(company.below(parent)) }).finally(onChanged)} />
          </StructureRow>
        ))}
      </ul>
      <AddLine label="Name of the new department" action="Add department" onAdd={(name) => addDepartment(company, { parent: at, name, rank: lastRank(level) }).finally(onChanged)} />
    </Part>
  );
}

function Positions({ company, onChanged }: Props) {
  const { positions } = company;
  return (
    <Part title="Positions" about="What people are in the departments they stand in. Who has one that is removed has none.">
      {!positions.length && <p className="dim">There are none yet.</p>}
      <ul className="rows" aria-label="Positions">
        {positions.map((position, place) => (
          <StructureRow
            key={position.id}
            name={position.name}
            first={place === 0}
            last={place === positions.length - 1}
            onRename={(name) => changePosition(company, { ...position, name }).finally(onChanged)}
            onMove={(by) => each(reordered(positions, position.id, by), (one) => changePosition(company, one)).finally(onChanged)}
            onRemove={() => removePosition(company, position.id).finally(onChanged)}
          />
        ))}
      </ul>
      <AddLine label="Name of the new position" action="Add position" onAdd={(name) => addPosition(company, { name, rank: lastRank(positions) }).finally(onChanged)} />
    </Part>
  );
}
