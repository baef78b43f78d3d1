/** Tasks on single files, with synchronous calls as most programs make them. */
import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { nowNs, timed, type Outcome } from './outcome.js';
import { dataOf, shuffled } from './source-data.js';

const MIB = 2 ** 20;
export const BLOCK_BYTES = 4096;
const BLOCKS_PER_MIB = MIB / BLOCK_BYTES;
const RECORD_BYTES = 100;
const FILE_MODE = 0o644;
/** The data's numbers, so that no two kinds of writing write the same. */
const RANDOM_WRITES_FROM = 1_000_000;
const FSYNCED_WRITES_FROM = 2_000_000;
const RECORDS_FROM = 3_000_000;
/** Random writing looks at the clock once in so many writes. */
const WRITES_PER_LOOK = 64;

interface WholeFile {
  readonly path: string;
  readonly bytes: number;
  /** The number of the first MiB's data. */
  readonly first: number;
}

function writeAll(fd: number, data: Buffer): void {
  let written = 0;
  while (written < data.length) written += writeSync(fd, data, written, data.length - written);
}

/** Writes a file from beginning to end, and has it stored. */
export function writeWhole({ path, bytes, first }: WholeFile): Outcome {
  return timed(() => {
    const fd = openSync(path, 'w', FILE_MODE);
    for (let index = 0; index * MIB < bytes; index += 1) writeAll(fd, dataOf(first + index, MIB));
    fsyncSync(fd);
    closeSync(fd);
    return bytes;
  });
}

/** Reads a file from beginning to end. */
export function readWhole({ path }: Pick<WholeFile, 'path'>): Outcome {
  const buffer = Buffer.allocUnsafe(MIB);
  return timed(() => {
    const fd = openSync(path, 'r');
    let total = 0;
    for (let read = -1; read !== 0; total += read) read = readSync(fd, buffer);
    closeSync(fd);
    return total;
  });
}

/** Whether a file is what writeWhole wrote. */
export function verifyWhole({ path, bytes, first }: WholeFile): Outcome {
  return verifyBlocks(path, bytes / BLOCK_BYTES, number => originalBlock(first, number));
}

function originalBlock(first: number, number: number): Buffer {
  const at = (number % BLOCKS_PER_MIB) * BLOCK_BYTES;
  return dataOf(first + Math.floor(number / BLOCKS_PER_MIB), MIB).subarray(at, at + BLOCK_BYTES);
}

function verifyBlocks(path: string, blocks: number, expected: (number: number) => Buffer): Outcome {
  return timed(() => {
    const fd = openSync(path, 'r');
    const buffer = Buffer.allocUnsafe(MIB);
    for (let number = 0; number < blocks; number += 1) {
      const at = (number % BLOCKS_PER_MIB) * BLOCK_BYTES;
      if (at === 0) readFully(fd, buffer, Math.min(MIB, (blocks - number) * BLOCK_BYTES), path);
      if (!buffer.subarray(at, at + BLOCK_BYTES).equals(expected(number))) {
        throw new Error(`${path} does not hold what was written to it, at ${number * BLOCK_BYTES}`);
      }
    }
    closeSync(fd);
    return blocks;
  });
}

function readFully(fd: number, buffer: Buffer, length: number, path: string): void {
  let total = 0;
  while (total < length) {
    const read = readSync(fd, buffer, total, length - total, null);
    if (read === 0) throw new Error(`${path} is shorter than what was written to it`);
    total += read;
  }
}

interface RandomReads {
  readonly path: string;
  readonly firstBlock: number;
  readonly blocks: number;
  readonly seconds: number;
  readonly seed: number;
}

/** Reads blocks at random, each at most once, so that none is in a cache because it was read before. */
export function randomRead({ path, firstBlock, blocks, seconds, seed }: RandomReads): Outcome {
  const order = shuffled(blocks, seed);
  const latenciesUs: number[] = [];
  const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  const fd = openSync(path, 'r');
  const startNs = nowNs();
  let endNs = startNs;
  for (const block of order) {
    const beganNs = endNs;
    const read = readSync(fd, buffer, 0, BLOCK_BYTES, (firstBlock + block) * BLOCK_BYTES);
    endNs = nowNs();
    if (read !== BLOCK_BYTES) throw new Error(`${path} is shorter than what was written to it`);
    latenciesUs.push((endNs - beganNs) / 1000);
    if (endNs - startNs > seconds * 1e9) break;
  }
  closeSync(fd);
  return { startNs, endNs, count: latenciesUs.length, latenciesUs: Float64Array.from(latenciesUs).sort() };
}

interface RandomWrites {
  readonly path: string;
  /** Of the file's beginning. */
  readonly blocks: number;
  readonly seed: number;
}

/** Writes blocks at random, each once, and has them stored at the end. */
export function randomWrite({
  path,
  blocks,
  seed,
  writes,
  seconds,
}: RandomWrites & { readonly writes: number; readonly seconds: number }): Outcome {
  const order = shuffled(blocks, seed).subarray(0, writes);
  return timed(() => {
    const endNs = nowNs() + seconds * 1e9;
    const fd = openSync(path, 'r+');
    let count = 0;
    for (const block of order) {
      writeSync(fd, dataOf(RANDOM_WRITES_FROM + count, BLOCK_BYTES), 0, BLOCK_BYTES, block * BLOCK_BYTES);
      count += 1;
      if (count % WRITES_PER_LOOK === 0 && nowNs() > endNs) break;
    }
    fsyncSync(fd);
    closeSync(fd);
    return count;
  });
}

/** Writes blocks at random and has each stored before the next. */
export function randomWriteFsync({
  path,
  blocks,
  seed,
  seconds,
}: RandomWrites & { readonly seconds: number }): Outcome {
  // Backwards, so that the first blocks that are written are not those of randomWrite.
  const order = shuffled(blocks, seed).toReversed();
  const latenciesUs: number[] = [];
  const fd = openSync(path, 'r+');
  const startNs = nowNs();
  let endNs = startNs;
  while (endNs - startNs < seconds * 1e9) {
    const beganNs = endNs;
    const count = latenciesUs.length;
    const at = (order[count % blocks] ?? 0) * BLOCK_BYTES;
    writeSync(fd, dataOf(FSYNCED_WRITES_FROM + count, BLOCK_BYTES), 0, BLOCK_BYTES, at);
    fsyncSync(fd);
    endNs = nowNs();
    latenciesUs.push((endNs - beganNs) / 1000);
  }
  closeSync(fd);
  return { startNs, endNs, count: latenciesUs.length, latenciesUs: Float64Array.from(latenciesUs).sort() };
}

/** Whether a file is what writeWhole, then randomWrite and then randomWriteFsync made of it. */
export function verifyRandomWrites({
  path,
  blocks,
  seed,
  first,
  writes,
  fsyncedWrites,
}: RandomWrites & {
  readonly first: number;
  readonly writes: number;
  readonly fsyncedWrites: number;
}): Outcome {
  const order = shuffled(blocks, seed);
  /** block → the number of the data that was written to it last */
  const written = new Map<number, number>();
  for (let count = 0; count < writes; count += 1) written.set(order[count] ?? 0, RANDOM_WRITES_FROM + count);
  const backwards = order.toReversed();
  for (let count = 0; count < fsyncedWrites; count += 1) {
    written.set(backwards[count % blocks] ?? 0, FSYNCED_WRITES_FROM + count);
  }
  return verifyBlocks(path, blocks, number => {
    const last = written.get(number);
    return last === undefined ? originalBlock(first, number) : dataOf(last, BLOCK_BYTES);
  });
}

interface Records {
  readonly path: string;
  readonly count: number;
}

const APPENDING = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;

/** Appends records of 100 bytes to an open file, and closes it. */
export function appendRecords({ path, count }: Records): Outcome {
  return timed(() => {
    const fd = openSync(path, APPENDING, FILE_MODE);
    for (let index = 0; index < count; index += 1) writeAll(fd, dataOf(RECORDS_FROM + index, RECORD_BYTES));
    closeSync(fd);
    return count;
  });
}

/** Opens the file anew for each record. */
export function reopenAndAppend({ path, count }: Records): Outcome {
  return timed(() => {
    for (let index = 0; index < count; index += 1) {
      const fd = openSync(path, APPENDING, FILE_MODE);
      writeAll(fd, dataOf(RECORDS_FROM + index, RECORD_BYTES));
      closeSync(fd);
    }
    return count;
  });
}

/** Whether a file is what appendRecords and reopenAndAppend made. */
export function verifyRecords({ path, count, reopened }: Records & { readonly reopened: number }): Outcome {
  return timed(() => {
    const fd = openSync(path, 'r');
    const total = count + reopened;
    const buffer = Buffer.alloc(total * RECORD_BYTES + 1);
    readFully(fd, buffer, total * RECORD_BYTES, path);
    if (readSync(fd, buffer, 0, 1, null) !== 0)
      throw new Error(`${path} is longer than what was written to it`);
    closeSync(fd);
    return total;
  });
}
