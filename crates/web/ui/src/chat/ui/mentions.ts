// Who is called by name in a text: `@` and the name, as it is shown. The text alone says it, so what was chosen from a list,
// typed or pasted is all the same.

export interface Named {
  user: number;
  name: string;
}

/** Calls everybody of a group. Its user is nobody's. */
export const EVERYBODY: Named = { user: 0, name: 'all' };

/** Most that a message may name, as the server allows. */
const MAX_MENTIONS = 100;
/** Longest name that is looked for while it is typed. */
const MAX_QUERY = 40;
const MAX_FOUND = 6;

/** What a name cannot begin or end beside: letters and digits, but for scripts that put no space between words. */
const LETTER = '(?:[^\\P{L}\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}]|\\p{N})';
const ENDS_IN_LETTER = new RegExp(`${LETTER}$`, 'u');

/** Splits a text at the names in it that are called: those are at the odd places, with their `@`. */
export function split(text: string, people: readonly Named[]): string[] {
  const names = people.map(({ name }) => name).filter(Boolean);
  if (!names.length || !text.includes('@')) return [text];
  // The longest first: `@Ana Silva` is not a call of `Ana`.
  const escaped = names.sort((a, b) => b.length - a.length).map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return text.split(new RegExp(`(?<!${LETTER})(@(?:${escaped.join('|')}))(?!${LETTER})`, 'u'));
}

/** Those of some people who are called in a text. */
export function calledIn(text: string, people: readonly Named[]): Named[] {
  const called = new Set(split(text, people).filter((_, at) => at % 2).map((part) => part.slice(1)));
  return people.filter(({ name }) => called.has(name)).slice(0, MAX_MENTIONS);
}

/** The name that is being typed before the caret, and where its `@` is. */
export function typed(text: string, caret: number): { from: number; query: string } | undefined {
  const from = text.slice(0, caret).lastIndexOf('@');
  if (from < 0 || caret - from - 1 > MAX_QUERY || ENDS_IN_LETTER.test(text.slice(0, from))) return undefined;
  const query = text.slice(from + 1, caret);
  return /^\s|\n/.test(query) ? undefined : { from, query };
}

/** Those whose name, or a word of it, begins so; nobody where one name is all there and is no other's beginning. */
export function matching(query: string, people: readonly Named[]): Named[] {
  const wanted = query.toLocaleLowerCase();
  const fits = ({ name }: Named) => {
    const low = name.toLocaleLowerCase();
    return low.startsWith(wanted) || low.split(/\s+/).some((word) => word.startsWith(wanted));
  };
  const found = people.filter(fits).slice(0, MAX_FOUND);
  return found.length === 1 && found[0]?.name.toLocaleLowerCase() === wanted ? [] : found;
}
