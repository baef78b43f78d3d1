/** Random commits and truncations, compared with a file that is an array of bytes. */
import t from 'tap';
import Database from 'better-sqlite3';
import { get } from '../../../src/metadata/operations/get.js';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import type { StoredChunk } from '../../../src/protocol/content-commands.js';
import type { Extent } from '../../../src/protocol/types.js';
import { startHarness, type TestClient } from './support/harness.js';
import { generator } from '../../support/pseudo-random.js';

const FILE_BYTES = 2000;
const STEPS = 3000;

/** For each byte of the file: the chunk and the offset in it, as one text; '' for a hole. */
type Model = string[];

async function readAll(client: TestClient, inode: number, limit: number): Promise<Extent[]> {
  const extents: Extent[] = [];
  let offset = 0;
  while (offset >= 0) {
    const page = await client.ask(get, { inode, offset, limit });
    extents.push(...page.extents);
    offset = page.next;
  }
  return extents;
}

function toModel(extents: readonly Extent[], size: number): Model {
  const model: Model = Array.from({ length: size }, () => '');
  for (const { offset, length, chunk, chunkOffset } of extents) {
    for (let at = 0; at < length; at += 1) model[offset + at] = `${chunk}:${chunkOffset + at}`;
  }
  return model;
}

for (const seed of [1, 20_261_123]) {
  t.test(`${STEPS} random changes leave what a byte array would have (seed ${seed})`, async t => {
    const harness = await startHarness(t);
    for (const name of ['node-1', 'node-2']) await harness.node(name);
    const client = await harness.client();
    const { inode } = await client.file('f');
    const random = generator(seed);
    let model: Model = [];
    let pool: StoredChunk[] = [];
    for (let step = 0; step < STEPS; step += 1) {
      if (step % 500 === 499) {
        // Heartbeats, so that grants go on.
        await harness.node('node-1');
        await harness.node('node-2');
      }
      if (random(10) === 0) {
        const size = random(FILE_BYTES);
        await client.execute(setattr, { inode, size });
        model = Array.from({ length: size }, (_, at) => model[at] ?? '');
      } else {
        if (pool.length < 4) pool = await client.chunks(Array.from({ length: 32 }, () => 400));
        const count = 1 + random(4);
        const extents: Extent[] = [];
        const chunks: StoredChunk[] = [];
        let offset = random(FILE_BYTES / 2);
        for (let index = 0; index < count; index += 1) {
          const length = 1 + random(150);
          const chunkOffset = random(250);
          const isNew = chunks.length === 0 || random(2) === 0;
          const stored = isNew ? pool.pop() : chunks.at(-1);
          if (!stored) break;
          if (isNew) chunks.push(stored);
          extents.push({ offset, length, chunk: stored.chunk, chunkOffset });
          offset += length + (random(2) === 0 ? 0 : random(100));
        }
        await client.commit(inode, extents.toReversed(), chunks);
        for (const { offset: start, length, chunk, chunkOffset } of extents) {
          while (model.length < start + length) model.push('');
          for (let at = 0; at < length; at += 1) model[start + at] = `${chunk}:${chunkOffset + at}`;
        }
      }
      if (step % 50 !== 0 && step !== STEPS - 1) continue;
      const { size, allocated } = await client.stat(inode);
      const extents = await readAll(client, inode, 1 + random(20));
      const isSame =
        size === model.length &&
        allocated === model.filter(byte => byte !== '').length &&
        JSON.stringify(toModel(extents, size)) === JSON.stringify(model);
      if (!isSame) t.fail(`different after step ${step}`);
      if (!isSame) break;
    }
    const database = new Database(harness.path, { readonly: true });
    const wrong = database
      .prepare(
        `SELECT c.chunk FROM chunks c LEFT JOIN extents e ON e.chunk = c.chunk
         GROUP BY c.chunk HAVING count(e.chunk) <> c.refs
           OR (c.refs = 0) <> (c.chunk IN (SELECT chunk FROM doomed))`,
      )
      .all();
    database.close();
    t.same(wrong, [], 'every chunk counts its extents, and is doomed exactly when it has none');
  });
}
