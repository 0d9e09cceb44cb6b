// Packs what `vite build` made, once and as small as it gets, so that the server only has to hand it out: FILE.br and FILE.gz
// beside each file that becomes a good deal smaller.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

/** Smaller files fit into the first packets of a connection as they are. */
const MIN_BYTES = 4096;
/** Pictures and fonts are packed already. */
const WORTH = 0.9;

const dist = new URL('../dist', import.meta.url).pathname;
const packers = {
  br: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  gz: (bytes) => gzipSync(bytes, { level: 9 }),
};

for (const name of readdirSync(dist, { recursive: true })) {
  if (!/\.(css|html|js|json|svg|txt)$/.test(name)) continue;
  const path = join(dist, name);
  const bytes = readFileSync(path);
  if (bytes.length < MIN_BYTES) continue;
  for (const [ending, pack] of Object.entries(packers)) {
    const packed = pack(bytes);
    if (packed.length < bytes.length * WORTH) writeFileSync(`${path}.${ending}`, packed);
  }
}
