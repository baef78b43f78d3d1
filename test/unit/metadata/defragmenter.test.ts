/** Files in many pieces: which are put together, and when (metadata/background/defragmenter.ts). */
import t from 'tap';
import type { RunPiece } from '../../../src/metadata/background/background-work.js';
import { Defragmenter } from '../../../src/metadata/background/defragmenter.js';
import type { OperationContext } from '../../../src/metadata/operation.js';
import type { ServerState } from '../../../src/metadata/server-state.js';
import type { StoreTransaction } from '../../../src/metadata/store/store.js';
import { nextTurn, systemClock } from '../../../src/platform/clock.js';
import { S_IFREG } from '../../../src/protocol/file-mode.js';
import { LOG, startHarness } from './support/harness.js';
import { ManualClock } from '../../support/manual-clock.js';

const PIECES = 16;
const PIECE_BYTES = 4096;
const BEAT_MS = 1000;
const QUIET_MS = 60_000;
const ROUND_MS = 5000;

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

t.test('a file that somebody has just written is taken from nobody, and a quiet one is', async t => {
  const clock = new ManualClock();
  const asked: string[] = [];
  const record = { inode: 7, mode: S_IFREG | 0o644, ctime: clock.now() };
  const tx = {
    fragmented: { after: (after: number) => (after < 7 ? [7] : []), delete: () => undefined },
    inodes: { get: () => record },
    extents: { overlapping: () => [] },
  };
  const piece =
    (what: string): RunPiece =>
    async work => {
      asked.push(what);
      // As much of a transaction as is used until nothing is found to be done.
      return await work(tx as unknown as StoreTransaction, { now: clock.now() } as OperationContext).catch(
        () => false,
      );
    };
  const defragmenter = new Defragmenter({
    clock,
    log: LOG,
    state: {} as ServerState,
    run: piece('recall'),
    look: piece('look'),
    orderAssembly: async () => await Promise.reject(new Error('nothing is to be assembled')),
    quietMs: QUIET_MS,
  });
  defragmenter.start();
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round += 1) {
      clock.advance(ROUND_MS);
      for (let turn = 0; turn < 10; turn += 1) await nextTurn(systemClock);
    }
  };
  await rounds(QUIET_MS / ROUND_MS - 1);
  t.ok(asked.length > 5, 'it looked');
  t.notOk(asked.includes('recall'), 'and left the file to its writer');
  await rounds(3);
  t.ok(asked.includes('recall'));
  await defragmenter.close();
});
