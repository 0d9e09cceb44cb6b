// The REST of people: JSON out, JSON or a problem (RFC 9457) in.

export class ApiProblem extends Error {
  constructor(
    /** 0: the server did not answer. */
    readonly status: number,
    readonly code: string,
    /** For a person: what went wrong and what to do next. */
    detail: string,
    readonly retryAfterS: number,
  ) {
    super(detail);
  }
}

/** Whether the server has a route there: another method is refused as such, an unknown address is not found. */
export async function hasRoute(path: string): Promise<boolean> {
  const response = await fetch(path, { method: 'GET', cache: 'no-store' }).catch(() => undefined);
  return response?.status === 405;
}

export async function call<T>(method: string, path: string, body?: unknown, token = '', headers: Record<string, string> = {}): Promise<T> {
  const all = { ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  if (body !== undefined) all['content-type'] = 'application/json';
  const init = { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), cache: 'no-store' as const };
  const response = await fetch(path, init).catch(() => {
    throw new ApiProblem(0, 'unreachable', navigator.onLine ? 'The server does not answer. Try again in a moment.' : 'This device is offline.', 0);
  });
  const text = await response.text();
  if (!response.ok) throw problem(response, text);
  return (text ? JSON.parse(text) : undefined) as T;
}

function problem(response: Response, text: string): ApiProblem {
  const retryAfterS = Number(response.headers.get('retry-after')) || 0;
  try {
    const { code = '', detail = '' } = JSON.parse(text) as { code?: string; detail?: string };
    const wait = retryAfterS ? ` Try again in ${retryAfterS > 90 ? `${Math.ceil(retryAfterS / 60)} minutes` : `${retryAfterS} seconds`}.` : '';
    return new ApiProblem(response.status, code, (detail || `The server answered ${response.status}.`) + wait, retryAfterS);
  } catch {
    return new ApiProblem(response.status, '', `The server answered ${response.status}.`, retryAfterS);
  }
}
