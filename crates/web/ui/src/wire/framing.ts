// Frames on a stream: each behind its length as a varint of at most 5 bytes.

/** Longest frame, as im.proto has it. */
const MAX_FRAME_BYTES = 65_536;

export function withPrefix(frame: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefix: number[] = [];
  let rest = frame.length;
  for (; rest > 127; rest >>>= 7) prefix.push((rest & 127) | 128);
  prefix.push(rest);
  const out = new Uint8Array(prefix.length + frame.length);
  out.set(prefix);
  out.set(frame, prefix.length);
  return out;
}

/** Cuts what a stream brings into frames. Throws when framing is lost. */
export class Cutter {
  private buffer = new Uint8Array(0);

  push(piece: Uint8Array): Uint8Array[] {
    const joined = new Uint8Array(this.buffer.length + piece.length);
    joined.set(this.buffer);
    joined.set(piece, this.buffer.length);
    const frames: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const head = lengthAt(joined, at);
      if (!head || joined.length < head.from + head.length) break;
      frames.push(joined.slice(head.from, head.from + head.length));
      at = head.from + head.length;
    }
    this.buffer = joined.slice(at);
    return frames;
  }
}

function lengthAt(bytes: Uint8Array, start: number): { from: number; length: number } | undefined {
  let length = 0;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    length += (byte & 127) * 2 ** (7 * (at - start));
    if (length > MAX_FRAME_BYTES || at - start > 4) throw new Error('a frame longer than any');
    if (byte < 128) return { from: at + 1, length };
  }
  return undefined;
}
