// Bytes as text, and random ones.

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

export const unhex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** An id that nobody else has: 16 random bytes, hexadecimal. */
export const randomId = (): string => hex(crypto.getRandomValues(new Uint8Array(16)));
