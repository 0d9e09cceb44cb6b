// One problem, shown to a person.

import { Icon } from './icons';
import type { Problem } from './problems';

interface Props {
  problem: Problem;
  onClose?: () => void;
}

export function Notice({ problem, onClose }: Props) {
  return (
    <div className="notice" role="alert" data-problem={problem.code}>
      <Icon name="warning" />
      <div>
        <strong>{problem.title}</strong>
        <p>{problem.action}</p>
      </div>
      {onClose && (
        <button type="button" className="plain" aria-label="Dismiss" onClick={onClose}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}
