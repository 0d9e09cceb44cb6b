// Whatever is waited for on the way to a connection has an end: a step that never settles would keep a client away for good.

export async function inTime<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not open in time`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
