// Times, sizes and first letters, in the words of the browser's language.

const DAY_MS = 24 * 60 * 60 * 1000;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const shortWeekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const shortDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

const stampFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const time = (ms: number) => clock.format(ms);
export const fullTime = (ms: number) => whole.format(ms);
/** Day and time, in a table. */
export const stamp = (ms: number) => stampFormat.format(ms);

const startOfDay = (ms: number) => new Date(ms).setHours(0, 0, 0, 0);
/** How many midnights lie between. */
const daysAgo = (ms: number, now: number) => Math.round((startOfDay(now) - startOfDay(ms)) / DAY_MS);

export function day(ms: number, now: number): string {
  const ago = daysAgo(ms, now);
  if (ago === 0) return 'Today';
  if (ago === 1) return 'Yesterday';
  return ago > 1 && ago < 7 ? weekday.format(ms) : date.format(ms);
}

/** For a list: the time today, else the day. */
export function brief(ms: number, now: number): string {
  const ago = daysAgo(ms, now);
  if (ago === 0) return time(ms);
  return ago > 0 && ago < 7 ? shortWeekday.format(ms) : shortDate.format(ms);
}

export function lastSeen(ms: number, now: number): string {
  if (!ms) return 'offline';
  const minutes = Math.max(1, Math.round((now - ms) / 60_000));
  if (minutes < 60) return `last seen ${minutes} min ago`;
  return daysAgo(ms, now) === 0 ? `last seen at ${time(ms)}` : `last seen ${day(ms, now)}`;
}

export function size(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Minutes and seconds. */
export function length(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = Array.from(words[0] ?? '');
  const last = words.length > 1 ? Array.from(words.at(-1) ?? '') : [];
  return `${first[0] ?? '?'}${last[0] ?? ''}`.toUpperCase();
}
