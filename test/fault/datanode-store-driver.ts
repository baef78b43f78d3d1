/**
 * Stores and drops chunks without end and says so on standard output, to be killed in the middle of it:
 * `put ID` when ID was stored, `dropping ID` before and `dropped ID` after ID was dropped for good.
 *
 *     node datanode-store-driver.js DIRECTORY FIRST_ID
 */
import { systemClock } from '../../src/platform/clock.js';
import { nodeDisk } from '../../src/platform/disk.js';
import { createLogger } from '../../src/platform/log.js';
import { ChunkStore } from '../../src/datanode/chunk-store.js';
import { chunkOf, NODE_ID, SEGMENT_BYTES } from './datanode-chunks.js';

const [directory, firstId] = process.argv.slice(2);
if (directory === undefined || firstId === undefined) throw new Error('usage: DIRECTORY FIRST_ID');

const store = new ChunkStore({
  disk: nodeDisk,
  clock: systemClock,
  log: createLogger('store', 'warn'),
  directory,
  node: NODE_ID,
  segmentBytes: SEGMENT_BYTES,
});
await store.open();
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const alive: number[] = [];
let next = Number(firstId);

async function put(id: number): Promise<void> {
  await store.put(chunkOf(id));
  say(`put ${id}`);
  alive.push(id);
}

async function dropSome(): Promise<void> {
  // Most of what there is, here and there, so that segments become worth compacting.
  const doomed = alive.splice(0, Math.max(0, alive.length - 30)).filter(id => id % 4 !== 0);
  for (const id of doomed) say(`dropping ${id}`);
  await store.drop(doomed);
  for (const id of doomed) say(`dropped ${id}`);
}

for (let round = 0; ; round += 1) {
  const ids = Array.from({ length: 8 }, () => (next += 1));
  await Promise.all([...ids.map(put), ...(round % 3 === 0 ? [dropSome()] : [])]);
}
