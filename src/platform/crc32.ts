/**
 * CRC-32 (the polynomial of zlib) at the speed of memory: by `@node-rs/crc32`, which takes half the time of Node's own zlib for 16 KiB
 * and less for more. Where it has no machine code for this machine, zlib does it.
 */
import { createRequire } from 'node:module';
import { crc32 as zlibCrc32 } from 'node:zlib';
import type * as NodeRs from '@node-rs/crc32';

/** Loading the package takes as long as zlib does for this many bytes, some milliseconds; a command that checks less does without. */
const LOADED_AFTER_BYTES = 8 << 20;

/** What does not sum this up as zlib does is not used. */
const SAMPLE = Buffer.alloc(1000, 'dfs');

type Crc32 = (data: Uint8Array, before: number) => number;

let bytesSoFar = 0;

/** The function in use. */
let current: Crc32 = (data, before) => {
  bytesSoFar += data.length;
  if (bytesSoFar >= LOADED_AFTER_BYTES) current = fastest();
  return zlibCrc32(data, before);
};

/** The CRC-32 of `data` behind bytes that have the CRC-32 `before`. */
export function crc32(data: Uint8Array, before = 0): number {
  return current(data, before);
}

function fastest(): Crc32 {
  const slow: Crc32 = (data, before) => zlibCrc32(data, before);
  try {
    const { crc32: fast } = createRequire(import.meta.url)('@node-rs/crc32') as typeof NodeRs;
    return fast(SAMPLE, 1) === slow(SAMPLE, 1) ? fast : slow;
  } catch {
    return slow;
  }
}
