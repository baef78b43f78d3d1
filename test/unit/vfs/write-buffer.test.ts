import t from 'tap';
import { RequestMemory } from '../../../src/platform/request-memory.js';
import { BlockPool } from '../../../src/vfs/block-pool.js';
import { assemble, overlay } from '../../../src/vfs/overlay.js';
import { WriteBuffer, type Slice } from '../../../src/vfs/write-buffer.js';

const SLICE_BYTES = 1000;
const FILE_BYTES = 8000;

function bytes(length: number, value: number): Buffer {
  return Buffer.alloc(length, value);
}

t.test('what follows a slice makes it longer, until it is full', async t => {
  const buffer = new WriteBuffer(new BlockPool(0), SLICE_BYTES);
  t.match(buffer.write(0, bytes(600, 1)), { grewBytes: 600, isSliceFull: false });
  t.match(buffer.write(600, bytes(600, 2)), { grewBytes: 600, isSliceFull: true });
  t.equal(buffer.slices.length, 2);
  const full = buffer.takeFull();
  t.equal(full.length, 1);
  t.equal(Buffer.concat(full[0]?.[0]?.payload() ?? []).length, SLICE_BYTES);
  t.equal(buffer.bytes, 200);
});

t.test('what is written again is changed in place', async t => {
  const buffer = new WriteBuffer(new BlockPool(0), SLICE_BYTES);
  buffer.write(100, bytes(500, 1));
  t.match(buffer.write(200, bytes(100, 2)), { grewBytes: 0 });
  const payload = Buffer.concat(buffer.slices[0]?.payload() ?? []);
  t.same([payload[99], payload[100], payload[199], payload[200]], [1, 2, 2, 1]);
});

t.test('scattered slices are packed into one chunk in file order', async t => {
  const buffer = new WriteBuffer(new BlockPool(0), SLICE_BYTES);
  for (const offset of [5000, 1000, 3000]) buffer.write(offset, bytes(200, 1));
  const chunks = buffer.takeAll();
  t.same(
    chunks.map(chunk => chunk.map(slice => slice.offset)),
    [[1000, 3000, 5000]],
  );
  t.equal(buffer.bytes, 0);
});

t.test('the buffer is told to pack when it holds too many slices', async t => {
  const buffer = new WriteBuffer(new BlockPool(0), 1 << 20);
  for (let index = 0; index < 1023; index += 1) buffer.write(index * 10, bytes(1, 1));
  t.equal(buffer.isWorthPacking, false);
  buffer.write(20_000, bytes(1, 1));
  t.equal(buffer.isWorthPacking, true);
});

t.test('a block from the pool is used again', async t => {
  const pool = new BlockPool(1 << 20);
  const block = pool.take(128 << 10);
  pool.give([block]);
  t.equal(pool.take(128 << 10), block);
});

t.test(
  'a large request’s memory becomes part of the slice, and is the next request’s when the slice gives it back',
  async t => {
    const REQUEST_BYTES = 4096;
    const pool = new BlockPool(0);
    const memory = new RequestMemory(80, REQUEST_BYTES, 4);
    const buffer = new WriteBuffer(pool, 4 * REQUEST_BYTES);
    const write = (offset: number, value: number): Buffer => {
      const request = memory.take();
      const data = request.subarray(80).fill(value);
      buffer.write(offset, data);
      memory.give(request);
      return data;
    };
    const kept = write(0, 1);
    const second = write(REQUEST_BYTES, 2);
    buffer.write(10, bytes(5, 9));
    const again = write(REQUEST_BYTES, 3);
    t.not(kept.buffer, second.buffer);
    const [slice] = buffer.slices;
    t.equal(slice?.blocks[0]?.buffer, kept.buffer);
    t.equal(slice?.blocks[1]?.buffer, second.buffer);
    t.not(slice?.blocks[1]?.buffer, again.buffer, 'what is written again is copied');
    const expected = Buffer.concat([bytes(REQUEST_BYTES, 1), bytes(REQUEST_BYTES, 3)]).fill(9, 10, 15);
    t.ok(Buffer.concat(slice?.payload() ?? []).equals(expected));
    buffer.write(2 * REQUEST_BYTES, bytes(100, 4));
    write(2 * REQUEST_BYTES + 100, 5);
    t.ok(
      Buffer.concat(buffer.slices[0]?.payload() ?? [])
        .subarray(2 * REQUEST_BYTES)
        .equals(Buffer.concat([bytes(100, 4), bytes(REQUEST_BYTES, 5)])),
      'behind a block that is not full it is copied',
    );
    pool.give(slice?.blocks ?? []);
    const lent = new Set([memory.take(), memory.take(), memory.take()].map(each => each.buffer));
    t.ok(lent.has(kept.buffer) && lent.has(second.buffer));
  },
);

t.test('reading through the layers gives what was written last, byte for byte', async t => {
  for (let seed = 1; seed <= 30; seed += 1) {
    let state = seed;
    // Park and Miller's minimal standard generator: any seed can be repeated.
    const below = (limit: number): number => {
      state = (state * 48_271) % 0x7fff_ffff;
      return state % limit;
    };
    const buffer = new WriteBuffer(new BlockPool(1 << 20), SLICE_BYTES);
    const flying: (readonly Slice[])[] = [];
    const committed = bytes(FILE_BYTES, 0);
    const model = bytes(FILE_BYTES, 0);
    for (let step = 1; step <= 200; step += 1) {
      const offset = below(FILE_BYTES - 1);
      const length = 1 + below(Math.min(1500, FILE_BYTES - offset));
      const data = bytes(length, 1 + (step % 255));
      buffer.write(offset, data);
      data.copy(model, offset);
      for (const chunk of buffer.takeFull()) flying.push(chunk);
      if (below(10) === 0) flying.push(...buffer.takeAll());
      if (below(3) === 0) {
        const landed = flying.shift();
        for (const slice of landed ?? []) slice.copy(0, slice.length).copy(committed, slice.offset);
      }
      const from = below(FILE_BYTES - 1);
      const end = from + 1 + below(FILE_BYTES - from);
      const { covered, gaps } = overlay([buffer.slices, ...flying.toReversed()], from, end);
      const parts = gaps.map(gap => ({
        offset: gap.offset,
        payload: [committed.subarray(gap.offset, gap.offset + gap.length)],
      }));
      const seen = Buffer.concat(assemble([...covered, ...parts]));
      if (!seen.equals(model.subarray(from, end))) {
        t.fail(`seed ${seed}, step ${step}: [${from}, ${end}) is not what was written`);
        return;
      }
    }
  }
  t.pass('30 seeds');
});
