/** seq, rand and par: large files, in order and at random, by one process and by several. */
import { rm } from 'node:fs/promises';
import type { Bench } from './bench.js';
import { BLOCK_BYTES } from './file-tasks.js';
import { countOf } from './outcome.js';

const MIB = 2 ** 20;
const FIRST = 0;
const READ_SEED = 1;
const WRITE_SEED = 2;
const WARM_SECONDS = 3;

export async function sequential(bench: Bench): Promise<void> {
  const { workers, sizes } = bench;
  const path = bench.path('big');
  const file = { path, bytes: sizes.bigBytes, first: FIRST };
  await bench.settle();
  bench.reportBytes('seq-write', [await workers.run('writeWhole', file)]);
  await bench.cold(async () => {
    bench.reportBytes('seq-read-cold', [await workers.run('readWhole', { path })]);
  });
  bench.reportBytes('seq-read-warm', [await workers.run('readWhole', { path })]);
  await workers.run('verifyWhole', file);
  await rm(path);
}

export async function random(bench: Bench): Promise<void> {
  const { workers, sizes } = bench;
  const path = bench.path('big');
  const blocks = Math.min(sizes.randomBytes, sizes.bigBytes) / BLOCK_BYTES;
  await workers.run('writeWhole', { path, bytes: sizes.bigBytes, first: FIRST });
  await randomReads(bench, path, blocks);
  const target = { path, blocks, seed: WRITE_SEED };
  const writing = { ...target, writes: sizes.randomWrites, seconds: sizes.randomWriteSeconds };
  await bench.settle();
  const written = await workers.run('randomWrite', writing);
  bench.reportRate('rand-write-4k', 'iops', [written]);
  await bench.settle();
  const fsynced = await workers.run('randomWriteFsync', { ...target, seconds: sizes.fsyncSeconds });
  bench.reportRate('rand-write-4k-fsync', 'iops', [fsynced]);
  const counts = { writes: written.count, fsyncedWrites: fsynced.count };
  await workers.run('verifyRandomWrites', { ...target, ...counts, first: FIRST });
  await rm(path);
}

async function randomReads(bench: Bench, path: string, blocks: number): Promise<void> {
  const { workers, sizes } = bench;
  const { randomReadSeconds: seconds, parallel } = sizes;
  const reading = { path, firstBlock: 0, blocks, seconds, seed: READ_SEED };
  await bench.cold(async () => {
    bench.reportRate('rand-read-4k-j1', 'iops', [await workers.run('randomRead', reading)]);
  });
  await bench.cold(async () => {
    const share = Math.floor(blocks / parallel);
    const inputOf = (index: number) => ({ ...reading, firstBlock: index * share, blocks: share });
    bench.reportRate(`rand-read-4k-j${parallel}`, 'iops', await workers.runAll('randomRead', inputOf));
  });
  await workers.run('readWhole', { path });
  const warm = await workers.run('randomRead', { ...reading, seconds: Math.min(seconds, WARM_SECONDS) });
  bench.reportRate('rand-read-4k-warm', 'iops', [warm]);
}

export async function parallelFiles(bench: Bench): Promise<void> {
  const { workers, sizes } = bench;
  const { parallel, parallelBytes: bytes } = sizes;
  const fileOf = (index: number) => {
    return { path: bench.path(`par.${index}`), bytes, first: Math.ceil((index * bytes) / MIB) };
  };
  await bench.settle();
  const written = await workers.runAll('writeWhole', fileOf);
  bench.reportBytes(`par-write-${parallel}p`, written);
  await bench.cold(async () => {
    bench.reportBytes(`par-read-cold-${parallel}p`, await workers.runAll('readWhole', fileOf));
  });
  await workers.runAll('verifyWhole', fileOf);
  for (let index = 0; index < written.length; index += 1) await rm(fileOf(index).path);
}

/** Many small records at the end of a file, kept open and opened for each. */
export async function appending(bench: Bench): Promise<void> {
  const { workers, sizes } = bench;
  const path = bench.path('append');
  await bench.settle();
  const appended = await workers.run('appendRecords', { path, count: sizes.appends });
  bench.reportRate('append-100B', 'ops/s', [appended]);
  const reopened = await workers.run('reopenAndAppend', { path, count: sizes.reopens });
  bench.reportRate('open-append-close', 'ops/s', [reopened]);
  await workers.run('verifyRecords', { path, count: countOf([appended]), reopened: reopened.count });
  await rm(path);
}
