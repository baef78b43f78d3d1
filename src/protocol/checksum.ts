/** CRC-32 of blocks, as the wire and the segment files have it. */
import { crc32 } from '../platform/crc32.js';
import type { Payload } from './frame.js';
import { CHECKSUM_BLOCK_BYTES, CHECKSUM_BYTES } from './limits.js';

/** Blocks that hold any byte of [offset, offset + length). */
export function blocksCovering(offset: number, length: number): number {
  if (length === 0) return 0;
  return (
    Math.floor((offset + length - 1) / CHECKSUM_BLOCK_BYTES) - Math.floor(offset / CHECKSUM_BLOCK_BYTES) + 1
  );
}

/** Bytes of the checksum table of a chunk of `length` bytes. */
export function checksumTableBytes(length: number): number {
  return blocksCovering(0, length) * CHECKSUM_BYTES;
}

/**
 * The checksums of `payload`, one little-endian CRC-32 for each piece between block ends.
 * @param offset where in its chunk the payload's first byte stands
 */
export function computeChecksums(payload: Payload, offset = 0): Buffer {
  let length = 0;
  for (const piece of payload) length += piece.length;
  const table = Buffer.allocUnsafe(blocksCovering(offset, length) * CHECKSUM_BYTES);
  let entry = 0;
  let crc = 0;
  let leftInBlock = CHECKSUM_BLOCK_BYTES - (offset % CHECKSUM_BLOCK_BYTES);
  for (const piece of payload) {
    let at = 0;
    while (at < piece.length) {
      const taken = Math.min(leftInBlock, piece.length - at);
      crc = crc32(piece.subarray(at, at + taken), crc);
      at += taken;
      leftInBlock -= taken;
      if (leftInBlock === 0) {
        table.writeUInt32LE(crc, entry);
        entry += CHECKSUM_BYTES;
        crc = 0;
        leftInBlock = CHECKSUM_BLOCK_BYTES;
      }
    }
  }
  if (entry < table.length) table.writeUInt32LE(crc, entry);
  return table;
}

/** Whether `payload`, which stands at `offset` of its chunk, has these checksums. */
export function matchesChecksums(payload: Payload, checksums: Uint8Array, offset = 0): boolean {
  return computeChecksums(payload, offset).equals(checksums);
}

/** The checksum of a whole chunk: the CRC-32 of its table. */
export function chunkChecksum(table: Uint8Array): number {
  return crc32(table);
}
