// Some of a few things, each to be checked.

interface Props {
  label: string;
  options: [value: string, words: string][];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}

export function Checks({ label, options, chosen, onChange }: Props) {
  const toggle = (value: string, on: boolean) => onChange(on ? [...chosen, value] : chosen.filter((one) => one !== value));
  return (
    <fieldset className="checks">
      <legend>{label}</legend>
      {options.map(([value, words]) => (
        <label key={value} className="check">
          <input type="checkbox" checked={chosen.includes(value)} onChange={(event) => toggle(value, event.target.checked)} /> {words}
        </label>
      ))}
    </fieldset>
  );
}
