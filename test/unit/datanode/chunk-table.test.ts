import t from 'tap';
import { ChunkTable, type ChunkEntry } from '../../../src/datanode/chunk-table.js';

t.test('the table holds what a Map holds, through any order of changes', async t => {
  const table = new ChunkTable();
  const model = new Map<number, ChunkEntry>();
  let state = 12_345;
  const next = (bound: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  for (let step = 0; step < 200_000; step += 1) {
    // Few ids, so that chains of neighbours form and break; some beyond 32 bits.
    const chunk = 1 + next(20_000) + (next(2) === 0 ? 0 : 2 ** 45);
    if (next(3) === 0) {
      table.delete(chunk);
      model.delete(chunk);
    } else {
      const entry = { segment: next(100), offset: next(2 ** 28), length: next(2 ** 22), deadCopies: next(3) };
      table.set(chunk, entry);
      model.set(chunk, entry);
    }
  }
  t.equal(table.size, model.size);
  let wrong = 0;
  for (let chunk = 1; chunk <= 20_000; chunk += 1) {
    for (const id of [chunk, chunk + 2 ** 45]) {
      if (JSON.stringify(table.get(id)) !== JSON.stringify(model.get(id))) wrong += 1;
    }
  }
  t.equal(wrong, 0);
});

t.test('a million chunks take less than 100 MB', async t => {
  const before = process.memoryUsage().arrayBuffers;
  const table = new ChunkTable();
  for (let chunk = 1; chunk <= 1_000_000; chunk += 1) {
    table.set(chunk, { segment: 1, offset: chunk, length: 4096, deadCopies: 0 });
  }
  t.equal(table.size, 1_000_000);
  t.same(table.get(777_777), { segment: 1, offset: 777_777, length: 4096, deadCopies: 0 });
  t.ok(process.memoryUsage().arrayBuffers - before < 100e6);
});
