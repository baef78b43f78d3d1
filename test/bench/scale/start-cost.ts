/** The start time of a data node with very many chunks in its directory. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ChunkStore } from '../../../src/datanode/chunk-store.js';
import { loadIdentity } from '../../../src/datanode/node-identity.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { createLogger } from '../../../src/platform/log.js';
import { systemRandom } from '../../../src/platform/random.js';
import { computeChecksums } from '../../../src/protocol/checksum.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { environmentFor } from '../../support/programs.js';
import { ServerProcess } from '../../support/server-process.js';
import { waitUntil } from '../../support/wait-until.js';
import { residentMib } from '../daemons.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledServer } from './metadata-process.js';
import type { ScaleContext } from './scale-context.js';

const MAX_START_MS = 5000;
const CHUNKS_AT_ONCE = 256;
const MAX_PAYLOAD_BYTES = 100;
const ENTRIES = 100;
const INVENTORY_MS = 120_000;
const INVENTORY_SAID = 'the metadata server knows what is here';

/** Fills a data directory through the node's own store; returns the node's identity. */
async function fillDirectory(directory: string, chunks: number, signal: AbortSignal): Promise<string> {
  await mkdir(directory, { recursive: true });
  const { id } = await loadIdentity(nodeDisk, directory, systemRandom);
  const log = createLogger('scale', 'silent');
  const store = new ChunkStore({ disk: nodeDisk, clock: systemClock, log, directory, node: id });
  await store.open();
  try {
    const bytes = systemRandom.bytes(MAX_PAYLOAD_BYTES);
    for (let first = 1; first <= chunks; first += CHUNKS_AT_ONCE) {
      signal.throwIfAborted();
      const count = Math.min(CHUNKS_AT_ONCE, chunks - first + 1);
      await Promise.all(
        Array.from({ length: count }, async (_, index) => {
          const chunk = first + index;
          const payload = [bytes.subarray(0, 1 + (chunk % MAX_PAYLOAD_BYTES))];
          const length = payload[0]?.length ?? 0;
          await store.put({
            chunk,
            inode: chunk,
            fileOffset: 0,
            length,
            table: computeChecksums(payload),
            payload,
          });
        }),
      );
    }
  } finally {
    await store.close();
  }
  return id;
}

/** The metadata that goes with it, so that the node's chunks are wanted. */
async function fillMetadata(path: string, chunks: number, id: string): Promise<void> {
  const filler = await DatabaseFiller.create(path, [{ node: 1, id }], 1);
  let parent = ROOT_INODE;
  for (let index = 0; index < chunks; index += 1) {
    if (index % ENTRIES === 0) parent = filler.addDirectory(ROOT_INODE, `directory-${index}`);
    filler.addFile(parent, `file-${index}`);
  }
  filler.finish();
}

export async function measureStart({ directory, sizes, book, signal }: ScaleContext): Promise<void> {
  for (const chunks of sizes.chunks) {
    const place = join(directory, `start-${chunks}`);
    const [data, database] = [join(place, 'node'), join(place, 'metadata', 'dfs.db')];
    const startedMs = performance.now();
    const id = await fillDirectory(data, chunks, signal);
    await fillMetadata(database, chunks, id);
    const size = String(chunks);
    book.add(size, 'filling', 's', (performance.now() - startedMs) / 1000);
    const server = new FilledServer(database);
    const node = new ServerProcess({
      name: 'node1',
      program: 'data-node',
      parameters: port => [
        server.process.endpoint.host,
        String(port),
        data,
        String(server.process.endpoint.port),
      ],
      directory: data,
      logPath: join(place, 'node.log'),
      env: environmentFor(join(place, 'home')),
    });
    const start = async (what: string, bound?: number): Promise<void> => {
      signal.throwIfAborted();
      const beganMs = performance.now();
      await node.start();
      const ms = performance.now() - beganMs;
      book.add(size, what, 'ms', ms, bound === undefined ? { is: 'told' } : { is: 'below', value: bound });
      await waitUntil(() => node.logTail(1).includes(INVENTORY_SAID), {
        deadlineMs: INVENTORY_MS,
        what: 'the metadata server knows what the node has',
      });
      book.add(size, `${what}, until the inventory is told`, 'ms', performance.now() - beganMs);
    };
    try {
      await server.start([]);
      await start('start', MAX_START_MS);
      book.add(size, 'memory of the node', 'MiB', await residentMib(node.pid));
      const stoppedMs = performance.now();
      await node.stop();
      book.add(size, 'stop', 'ms', performance.now() - stoppedMs);
      await start('start after a stop', MAX_START_MS);
      await node.kill9();
      await start('start after kill -9', MAX_START_MS);
      await node.stop();
      for (const suffix of ['', '-wal', '-shm']) await rm(join(data, `index.db${suffix}`), { force: true });
      await start('start without index.db');
      book.add(size, 'memory of the node after that', 'MiB', await residentMib(node.pid));
      book.add(size, 'memory of the metadata server', 'MiB', await residentMib(server.process.pid));
    } finally {
      await node.stop();
      await server.stop();
      await removeDatabase(database);
      await rm(place, { recursive: true, force: true });
    }
  }
}
