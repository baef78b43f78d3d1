/** Chunks whose content follows from their id, so that a process that was killed need not say what it stored. */
import { createHash } from 'node:crypto';
import type { NewChunk } from '../../src/datanode/chunk-store.js';
import { computeChecksums } from '../../src/protocol/checksum.js';

export const NODE_ID = 'fedcba9876543210';
export const SEGMENT_BYTES = 1 << 20;

export function bytesOf(id: number, length = 1 + ((id * 7919) % 60_000)): Buffer {
  return Buffer.alloc(length, createHash('sha256').update(String(id)).digest());
}

export function chunkOf(id: number): NewChunk {
  const bytes = bytesOf(id);
  return {
    chunk: id,
    inode: 1,
    fileOffset: 0,
    length: bytes.length,
    table: computeChecksums([bytes]),
    payload: [bytes],
  };
}
