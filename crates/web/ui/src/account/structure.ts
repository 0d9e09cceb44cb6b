// How an organisation is built: the tree of departments, the positions, and the order of both.

import type { Company, Department, Position } from './company';

/** Between ranks that are given anew, so that a program may put one in between. */
const STEP = 10;

type Fields = Pick<Department, 'parent' | 'name' | 'rank'>;
type Ranked = Pick<Department, 'id' | 'name' | 'rank'>;

/** A department, and how many stand above it. */
export interface Node {
  department: Department;
  depth: number;
}

/** Each department behind the one that it stands below. What stands below something that is not there stands at the top. */
export function inTreeOrder(departments: readonly Department[]): Node[] {
  const known = new Set(departments.map(({ id }) => id));
  const below = new Map<number, Department[]>();
  for (const one of departments) {
    const parent = known.has(one.parent) ? one.parent : 0;
    below.set(parent, [...(below.get(parent) ?? []), one]);
  }
  const found: Node[] = [];
  const walk = (parent: number, depth: number) => {
    for (const department of below.get(parent) ?? []) {
      found.push({ department, depth });
      walk(department.id, depth + 1);
    }
  };
  walk(0, 0);
  return found;
}

/** A department and everything below it: where it cannot be moved to. */
export function branch(departments: readonly Department[], top: number): Set<number> {
  const found = new Set([top]);
  // Level by level, as the server tells them, so that each parent comes before its children.
  for (const { id, parent } of departments) if (found.has(parent)) found.add(id);
  return found;
}

/** Moves one of its siblings up (-1) or down (1): what has another rank then. Equal ranks are told apart by it. */
export function reordered<T extends Ranked>(siblings: readonly T[], id: number, by: -1 | 1): T[] {
  const at = siblings.findIndex((one) => one.id === id);
  const [moved, passed] = [siblings[at], siblings[at + by]];
  if (!moved || !passed) return [];
  const order = [...siblings];
  order[at] = passed;
  order[at + by] = moved;
  return order.map((one, place) => ({ ...one, rank: (place + 1) * STEP })).filter((one) => one.rank !== siblings.find(({ id: same }) => same === one.id)?.rank);
}

/** The rank of one that comes last. */
export function lastRank(siblings: readonly Pick<Ranked, 'rank'>[]): number {
  return Math.max(0, ...siblings.map(({ rank }) => rank)) + STEP;
}

export function addDepartment(company: Company, fields: Fields): Promise<{ id: number }> {
  return company.login.create(company.path('/departments'), fields);
}

export function changeDepartment(company: Company, { id, parent, name, rank }: Fields & { id: number }): Promise<void> {
  return company.login.ask('PUT', company.path(`/departments/${id}`), { parent, name, rank });
}

/** Only an empty one goes. */
export function removeDepartment(company: Company, id: number): Promise<void> {
  return company.login.ask('DELETE', company.path(`/departments/${id}`));
}

/** Its group, made if there is none yet. Answers the conversation. */
export async function groupOf(company: Company, id: number): Promise<number> {
  return (await company.login.ask<{ id: number }>('POST', company.path(`/departments/${id}/group`))).id;
}

export function addPosition(company: Company, fields: Omit<Position, 'id'>): Promise<{ id: number }> {
  return company.login.create(company.path('/positions'), fields);
}

export function changePosition(company: Company, { id, name, rank }: Position): Promise<void> {
  return company.login.ask('PUT', company.path(`/positions/${id}`), { name, rank });
}

/** Who had it has none. */
export function removePosition(company: Company, id: number): Promise<void> {
  return company.login.ask('DELETE', company.path(`/positions/${id}`));
}
