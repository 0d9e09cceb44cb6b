// From a file that somebody chose, or a recording, to something to upload.

import { randomId } from '../bytes';
import type { Upload } from '../uploads';

/** Pictures that every browser shows. The server looks for itself. */
const PICTURES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

export async function pick(conv: number, file: File | Blob, replyTo: number): Promise<Upload> {
  const name = file instanceof File ? file.name : '';
  const base: Upload = { clientId: randomId(), conv, kind: 'file', file, name, width: 0, height: 0, replyTo, atMs: Date.now() };
  if (!(file instanceof File)) return { ...base, kind: 'voice' };
  if (!PICTURES.includes(file.type)) return base;
  const size = await createImageBitmap(file).catch(() => undefined);
  if (!size) return base;
  const { width, height } = size;
  size.close();
  return { ...base, kind: 'image', width, height };
}
