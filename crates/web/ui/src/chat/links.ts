// Addresses of blobs that a picture or a player can load, for as long as the server lets them stand.

import type { Init } from '../wire/codec';
import type { BlobRef, BlobUrl, User } from '../wire/im.gen';

import { hex } from './bytes';
import type { Client } from './client';

/** An address is asked for anew when it has less than this to live. */
const SPARE_MS = 60_000;

export class Links {
  private known = new Map<string, { path: string; expiresMs: number }>();

  constructor(private readonly client: Client) {}

  path(conv: number, blob: BlobRef): Promise<string> {
    return this.ask(hex(blob.id), { id: blob.id, conv });
  }

  /** Of the picture of somebody who has one. */
  picture({ id, picture }: User): Promise<string> {
    return this.ask(`${id} ${hex(picture)}`, { id: picture, user: id });
  }

  private async ask(key: string, value: Init<BlobUrl>): Promise<string> {
    const known = this.known.get(key);
    if (known && known.expiresMs - Date.now() > SPARE_MS) return known.path;
    const link = await this.client.request({ case: 'blobUrl', value }, 'blobLink');
    this.known.set(key, link);
    return link.path;
  }
}
