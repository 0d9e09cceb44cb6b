// Addresses of blobs that a picture or a player can load, for as long as the server lets them stand.

import type { Init } from '../wire/codec';
import type { BlobRef, BlobUrl, User } from '../wire/im.gen';

import { hex } from './bytes';
import type { Client } from './client';

/** An address is asked for anew when it has less than this to live. */
export const SPARE_MS = 60_000;

interface Known {
  path: string;
  expiresMs: number;
}

export class Links {
  private known = new Map<string, Known>();
  /** Whoever presses a link reaches for it three times in a moment. */
  private asked = new Map<string, Promise<string>>();

  constructor(private readonly client: Pick<Client, 'request'>) {}

  /** `stale`: one that has just failed to serve. */
  path(conv: number, blob: BlobRef, stale?: string): Promise<string> {
    return this.ask(hex(blob.id), { id: blob.id, conv }, stale);
  }

  /** Of the picture of somebody who has one. */
  picture({ id, picture }: User): Promise<string> {
    return this.ask(`${id} ${hex(picture)}`, { id: picture, user: id });
  }

  /** Whether an address that was given for a blob can be followed yet. */
  serves(blob: BlobRef, path: string): boolean {
    const known = this.known.get(hex(blob.id));
    return known?.path === path && isGood(known);
  }

  private async ask(key: string, value: Init<BlobUrl>, stale?: string): Promise<string> {
    const known = this.known.get(key);
    if (known && known.path !== stale && isGood(known)) return known.path;
    const asked = this.asked.get(key) ?? this.renew(key, value).finally(() => this.asked.delete(key));
    this.asked.set(key, asked);
    return asked;
  }

  private async renew(key: string, value: Init<BlobUrl>): Promise<string> {
    const link = await this.client.request({ case: 'blobUrl', value }, 'blobLink');
    this.known.set(key, link);
    return link.path;
  }
}

const isGood = ({ expiresMs }: Known) => expiresMs - Date.now() > SPARE_MS;
