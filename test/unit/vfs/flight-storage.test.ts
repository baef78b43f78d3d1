/** Storing a flight's bytes, and what becomes of their memory, with data nodes that do what the test says. */
import t from 'tap';
import type { Client } from '../../../src/client/client.js';
import type { ChunkToStore } from '../../../src/client/content/chunk-writer.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { BlockPool, POOL_BLOCK_BYTES } from '../../../src/vfs/block-pool.js';
import { DirtyBudget } from '../../../src/vfs/dirty-budget.js';
import { Flight } from '../../../src/vfs/flight.js';
import { FlightStorage } from '../../../src/vfs/flight-storage.js';
import { Slice } from '../../../src/vfs/write-buffer.js';
import { written } from './support/scripted-commits.js';
import { surroundingsOf } from './support/writer-surroundings.js';

const SILENT = new DfsError('ETIMEDOUT', 'no sign of life');

function storage(store: (chunk: ChunkToStore) => Promise<void>) {
  const pool = new BlockPool(2 * POOL_BLOCK_BYTES);
  const budget = new DirtyBudget(1 << 20, () => undefined);
  const client = {
    writer: {
      store: async (chunk: ChunkToStore) => {
        await store(chunk);
        return { chunk: 1 };
      },
    },
    content: { keep: () => undefined },
  } as unknown as Client;
  const storing = new FlightStorage(7, surroundingsOf(client, { pool, budget }), { goal: () => 1 });
  /** A flight of one block of the pool. */
  const newFlight = (): Flight => {
    const slice = new Slice(0);
    slice.append(Buffer.alloc(POOL_BLOCK_BYTES, 1), pool);
    budget.tryReserve(slice.length);
    return new Flight(1, { ...written([]), slices: [slice] });
  };
  return { pool, budget, storing, newFlight };
}

t.test('memory of what is stored is used again, and counts no more', async t => {
  const { pool, budget, storing, newFlight } = storage(async () => undefined);
  const flight = newFlight();
  await storing.store(flight, false);
  storing.free(flight);
  t.equal(budget.usedBytes, 0);
  t.equal(pool.take(POOL_BLOCK_BYTES), flight.slices[0]?.blocks[0]);
});

t.test('bytes that a connection may still have to send are not written over', async t => {
  const { pool, budget, storing, newFlight } = storage(async chunk => chunk.onNodeFailure?.(SILENT));
  const flight = newFlight();
  await storing.store(flight, false);
  storing.free(flight);
  t.equal(budget.usedBytes, 0);
  t.not(pool.take(POOL_BLOCK_BYTES), flight.slices[0]?.blocks[0]);
  t.equal(flight.trouble, SILENT);
});

t.test('a node that answers has taken all bytes', async t => {
  const full = new DfsError('ENOSPC', 'full', { isAnswer: true });
  const { pool, storing, newFlight } = storage(async chunk => chunk.onNodeFailure?.(full));
  const flight = newFlight();
  await storing.store(flight, false);
  storing.free(flight);
  t.equal(pool.take(POOL_BLOCK_BYTES), flight.slices[0]?.blocks[0]);
});

t.test('what a program was told is written is tried again, until it is given up', async t => {
  let tries = 0;
  const { storing, newFlight } = storage(async () => {
    tries += 1;
    if (tries === 2) flight.giveUp(SILENT);
    throw new DfsError('EIO', 'no data node took it');
  });
  const flight = newFlight();
  flight.isAcknowledged = true;
  await t.rejects(storing.store(flight, true), SILENT);
  t.equal(tries, 2);
});

t.test('what nobody was told of fails at once, and so does what has no room', async t => {
  const reasons = [new DfsError('EIO', 'no data node took it'), new DfsError('ENOSPC', 'full')];
  for (const reason of reasons) {
    const { storing, newFlight } = storage(async () => {
      throw reason;
    });
    const flight = newFlight();
    flight.isAcknowledged = reason.code === 'ENOSPC';
    await t.rejects(storing.store(flight, false), reason);
  }
});

t.test('what is given up before its turn is not sent', async t => {
  const { storing, newFlight } = storage(async () => void t.fail('it is sent'));
  const flight = newFlight();
  const storingIt = storing.store(flight, true);
  flight.giveUp(SILENT);
  await t.rejects(storingIt, SILENT);
});

t.test('memory of what is given up while it is being sent is not used again', async t => {
  let end: (() => void) | undefined;
  const { pool, budget, storing, newFlight } = storage(
    async () => await new Promise<void>(resolve => (end = resolve)),
  );
  const flight = newFlight();
  const sending = storing.store(flight, false);
  await new Promise<void>(resolve => {
    setImmediate(resolve);
  });
  flight.giveUp(SILENT);
  storing.free(flight);
  t.equal(budget.usedBytes, 0, 'others may write');
  t.not(pool.take(POOL_BLOCK_BYTES), flight.slices[0]?.blocks[0]);
  end?.();
  await sending;
});
