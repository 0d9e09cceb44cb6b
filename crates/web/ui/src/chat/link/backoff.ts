// When to try again: twice as long after each failure, and never all clients at once.

const FIRST_MS = 300;
const MAX_MS = 20_000;

export class Backoff {
  private failures = 0;

  reset() {
    this.failures = 0;
  }

  /** How long to wait after another failure; the server may ask for more. */
  next(random: number, atLeastMs = 0): number {
    const most = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(this.failures, 10));
    this.failures += 1;
    return atLeastMs + most * (0.5 + random / 2);
  }
}
