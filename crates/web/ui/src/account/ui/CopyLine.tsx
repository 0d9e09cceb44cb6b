// A text to be carried elsewhere: shown whole, copied by a button.

import { useTask } from './useTask';
import { useState } from 'react';

interface Props {
  label: string;
  /** What the field is called, where the label says more than that. */
  name?: string;
  value: string;
}

export function CopyLine({ label, name = label, value }: Props) {
  const [copied, setCopied] = useState('');
  const { problem, run } = useTask();
  const copy = () =>
    run(async () => {
      // There is no clipboard on insecure addresses.
      await navigator.clipboard.writeText(value).catch(() => {
        throw new Error('The browser did not let it be copied. Select the text and copy it by hand.');
      });
      setCopied(value);
    });
  return (
    <div className="field">
      <label className="field">
        {label}
        <span className="inline">
          <input aria-label={name} value={value} readOnly onFocus={(event) => event.target.select()} />
          <button type="button" className="secondary" aria-label={`Copy ${name}`} onClick={() => void copy()}>
            {copied === value ? 'Copied' : 'Copy'}
          </button>
        </span>
      </label>
      {problem && <p className="refused" role="alert">{problem}</p>}
    </div>
  );
}
