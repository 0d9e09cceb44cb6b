// Files that wait to be sent, one after the other, what was spoken before the rest. Each becomes a message under the id it was
// begun with, so that it is sent once whatever is cut in between. Kept in the database with their bytes until the server has taken
// the message: a reload or an outage does not lose a picture that was sent, and a server that has dropped a file which no
// message brought along in time gets it once more.

import { Code } from '../wire/im.gen';

import type { Client } from './client';
import type { Database } from './database';
import { type Upload, upload, UploadRefused } from './uploads';

/** A refusal that may pass is tried again after this. */
const RETRY_MS = 3_000;

interface Waiting {
  upload: Upload;
  /** 0 to 1. */
  progress: number;
  /** Why it will not be sent. */
  problem?: string;
  /** It is there, and its message waits: since this session, or from before, so that the server may have dropped it. */
  there?: 'now' | 'before';
}

export class Uploads {
  private all = new Map<string, Waiting>();
  private running?: AbortController;

  constructor(
    private readonly client: Client,
    private readonly database: Database,
  ) {}

  /** `hasMessage`: it was brought to the server, and its message is in the outbox. */
  restore(uploads: Upload[], hasMessage: (one: Upload) => boolean) {
    const waiting = (one: Upload): Waiting => ({ upload: one, progress: 0, there: hasMessage(one) ? 'before' : undefined });
    this.all = new Map(uploads.map((one) => [one.clientId, waiting(one)]));
  }

  /** Those that are on their way. Of the others the messages are shown. */
  of(conv: number): Waiting[] {
    return [...this.all.values()].filter(({ upload: one, there }) => one.conv === conv && !there);
  }

  add(one: Upload) {
    this.all.set(one.clientId, { upload: one, progress: 0 });
    this.database.writeUpload(one);
    this.client.changed();
    this.client.takeOver();
    // A file goes on where it was when this one is there.
    if (one.kind === 'voice') this.pause();
    this.resume();
  }

  discard(clientId: string) {
    this.all.delete(clientId);
    this.database.dropUpload(clientId);
    this.client.takeOver();
    this.pause();
    this.client.changed();
    this.resume();
  }

  retry(clientId: string) {
    this.client.takeOver();
    this.change(clientId, { problem: undefined });
    this.resume();
  }

  /** A session is open. */
  begin() {
    for (const [clientId, { there }] of this.all) if (there) this.change(clientId, { there: 'before' });
    this.resume();
  }

  /** The server does not take a message. Answers whether its file is on its way again, which makes another message of it. What
   * was uploaded just so was not forgotten: once more would be again and again. */
  refused(clientId: string, code: Code): boolean {
    const { there } = this.all.get(clientId) ?? {};
    if (!there) return false;
    if (code === Code.UNKNOWN_BLOB && there === 'before') return this.again(clientId);
    this.change(clientId, { there: 'before' });
    return false;
  }

  /** Brings a file once more, if it is kept. */
  again(clientId: string): boolean {
    if (!this.all.get(clientId)?.there) return false;
    this.change(clientId, { there: undefined, progress: 0 });
    this.resume();
    return true;
  }

  /** These messages have left the outbox. Answers of which the files go with them. */
  left(clientIds: string[]): string[] {
    const done = clientIds.filter((clientId) => this.all.get(clientId)?.there);
    done.forEach((clientId) => this.all.delete(clientId));
    return done;
  }

  pause() {
    this.running?.abort();
    this.running = undefined;
  }

  /** Goes on with the first that waits: nobody waits for a film to say something. */
  resume() {
    const waiting = [...this.all.values()].filter(({ problem, there }) => !problem && !there);
    const next = waiting.find(({ upload }) => upload.kind === 'voice') ?? waiting[0];
    if (!next || this.running || !this.client.isOnline) return;
    const running = new AbortController();
    this.running = running;
    void this.carry(next.upload, running.signal).then((again) => {
      if (this.running !== running) return;
      this.running = undefined;
      if (again) setTimeout(() => this.resume(), RETRY_MS);
      else this.resume();
    });
  }

  /** Answers whether it is to be tried again. */
  private async carry(one: Upload, stop: AbortSignal): Promise<boolean> {
    try {
      const { account } = this.client;
      const asker = { token: await account.token(), org: account.company?.org.name };
      const body = await upload(one, asker, (progress) => this.change(one.clientId, { progress }), stop);
      // What ended in the moment that another tab took over is that one's to send.
      if (stop.aborted) return true;
      if (!this.all.has(one.clientId)) return false;
      if (!this.client.send(one.conv, body, one.clientId)) throw new Error('too many messages wait to be sent');
      this.change(one.clientId, { there: 'now' });
    } catch (error) {
      if (stop.aborted) return true;
      if (error instanceof UploadRefused && error.again) return true;
      this.change(one.clientId, { problem: error instanceof Error ? error.message : String(error) });
    }
    return false;
  }

  private change(clientId: string, change: Partial<Waiting>) {
    const waiting = this.all.get(clientId);
    if (!waiting) return;
    this.all.set(clientId, { ...waiting, ...change });
    this.client.changed();
  }
}
