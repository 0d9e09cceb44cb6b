// Addresses of blobs that a picture or a player can load, for as long as the server lets them stand.

import type { BlobRef } from '../wire/im.gen';

import { hex } from './bytes';
import type { Client } from './client';

/** An address is asked for anew when it has less than this to live. */
const SPARE_MS = 60_000;

export class Links {
  private known = new Map<string, { path: string; expiresMs: number }>();

  constructor(private readonly client: Client) {}

  async path(conv: number, blob: BlobRef): Promise<string> {
    const key = hex(blob.id);
    const known = this.known.get(key);
    if (known && known.expiresMs - Date.now() > SPARE_MS) return known.path;
    const link = await this.client.request({ case: 'blobUrl', value: { id: blob.id, conv } }, 'blobLink');
    this.known.set(key, link);
    return link.path;
  }
}
