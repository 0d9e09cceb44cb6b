// Where one is in the tree of departments, from the organisation down.

import type { Company } from '../../company';

export function Crumbs({ company, at, onGo }: { company: Company; at: number; onGo: (department: number) => void }) {
  return (
    <nav className="crumbs" aria-label="Department">
      <ol>
        {[{ id: 0, name: company.org.title }, ...company.way(at)].map(({ id, name }) => (
          <li key={id}>
            <button type="button" className="link" aria-current={id === at ? 'location' : undefined} onClick={() => onGo(id)}>
              {name}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}
