// The group of a department, where the policy has such groups: for those who stand in it, or below.

import { Icon } from '../../../icons';
import type { Company } from '../../company';
import { readPolicy } from '../../policy';
import { branch, groupOf } from '../../structure';
import { useLoaded, useTask } from '../useTask';

export function DepartmentGroup({ company, department }: { company: Company; department: number }) {
  const { value } = useLoaded(async () => {
    const [{ policy }, { member }] = await Promise.all([readPolicy(company), company.detail(company.login.account.id), company.load()]);
    return { wanted: policy.department_groups, places: member.places };
  }, company);
  const { busy, problem, run } = useTask();
  const below = branch(company.departments, department);
  if (!department || !value?.wanted || !value.places.some((place) => below.has(place.department))) return null;
  const open = () => run(async () => void (location.hash = `c=${await groupOf(company, department)}`));
  return (
    <>
      <button type="button" className="link" disabled={busy} onClick={() => void open()}>
        <Icon name="chat" /> Open its group
      </button>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </>
  );
}
