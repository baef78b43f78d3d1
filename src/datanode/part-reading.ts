/** Parts of several chunks for one reply. */
import { hasCode } from '../protocol/errors.js';
import type { RequestOf } from '../protocol/command.js';
import type { readparts } from '../protocol/datanode-commands.js';
import type { ChunkPart } from './chunk-reader.js';
import type { ChunkStore } from './chunk-store.js';
import { withPayload } from '../rpc/connection.js';

/** What can be read of the parts; the store takes notice of what is damaged. Rejects when the directory is gone. */
export async function readParts(store: ChunkStore, parts: RequestOf<typeof readparts>['parts']) {
  const results = await Promise.all(
    parts.map(async ({ chunk, offset, length }): Promise<ChunkPart | undefined> => {
      try {
        return await store.read(chunk, offset, length);
      } catch (error) {
        if (hasCode(error, 'ENOENT', 'EINVAL', 'EIO')) return undefined;
        throw error;
      }
    }),
  );
  const read = results.flatMap((part, index) => (part ? [{ index, checksums: part.checksums }] : []));
  return withPayload(
    { read },
    results.flatMap(part => (part ? [part.bytes] : [])),
  );
}
