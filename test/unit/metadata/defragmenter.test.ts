import t from 'tap';
import { startHarness } from './support/harness.js';

const PIECES = 16;
const PIECE_BYTES = 4096;
const BEAT_MS = 1000;

t.test('a file whose rewriting failed is looked at again', async t => {
  const harness = await startHarness(t);
  const node = await harness.node('node-1');
  const client = await harness.client();
  const { inode } = await client.file('file');
  for (let piece = 0; piece < PIECES; piece += 1) {
    await client.write(inode, piece * PIECE_BYTES, PIECE_BYTES);
  }
  t.equal(harness.count('fragmented'), 1);
  // Silent nodes get no grants.
  await harness.pass(70_000);
  t.equal(harness.count('fragmented'), 1, 'not while no node lives');
  // One that lives, but takes no orders.
  for (let beat = 0; beat < 20; beat += 1) {
    await harness.beat('node-1', node);
    await harness.pass(BEAT_MS);
  }
  t.equal(harness.count('fragmented'), 1, 'not while no node takes orders');
  t.equal(harness.count('extents'), PIECES);
});
