/**
 * The record: the format of one chunk, of the tombstone of a dropped chunk, or of the intent that came with a chunk, in a segment file.
 *
 *     offset  0  u32  magic "DFSr"
 *             4  u8   version
 *             5  u8   kind: chunk, tombstone or intent
 *             6  u16  zero
 *             8  u64  chunk id
 *            16  u64  inode           (a hint for salvage, as is the file offset)
 *            24  u64  file offset of the chunk's first byte
 *            32  u32  payload bytes
 *            36  u32  checksum table bytes
 *            40  u32  number of the segment
 *            44  u32  offset of this record in the segment
 *            48  u32  CRC-32 of the 48 bytes above and the table
 *            52  checksum table, then payload
 *
 * A large payload begins at a block of its segment, so that the disk takes it as it lies in memory (platform/direct-writes.ts): zeros, of
 * less than a block, fill what is between such a record and the one before it (docs/decisions/46).
 *
 * Integers are little-endian. The record names its own place. A user's file that happens to hold a copy of a segment
 * is therefore never taken for records when a damaged segment is searched for the next good one.
 */
import { crc32 } from 'node:zlib';
import { checksumTableBytes } from '../protocol/checksum.js';
import { MAX_INTENT_BYTES } from '../protocol/intents.js';
import { MAX_CHUNK_BYTES } from '../protocol/limits.js';

export const RECORD_HEADER_BYTES = 52;
export const RECORD_MAGIC = Buffer.from('DFSr', 'latin1');
const RECORD_VERSION = 1;
const CRC_OFFSET = 48;
const TWO_TO_32 = 2 ** 32;

export const RecordKind = { chunk: 1, tombstone: 2, intent: 3 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** A place in the log: a segment's number and a byte offset in it. */
export interface LogPosition {
  readonly segment: number;
  readonly offset: number;
}

export interface RecordHeader {
  readonly kind: RecordKind;
  readonly chunk: number;
  readonly inode: number;
  readonly fileOffset: number;
  /** Bytes of the payload. */
  readonly length: number;
  readonly tableBytes: number;
}

/** Negative, zero or positive as `a` is before, at or after `b`. */
export function comparePositions(a: LogPosition, b: LogPosition): number {
  return a.segment - b.segment || a.offset - b.offset;
}

/** Bytes of a chunk's whole record, by the bytes of its payload. */
export function chunkRecordBytes(length: number): number {
  return RECORD_HEADER_BYTES + checksumTableBytes(length) + length;
}

export const TOMBSTONE_BYTES = RECORD_HEADER_BYTES;

/** The payload of an intent's record: the intent, encoded (kept-intents.ts). */
const MAX_INTENT_RECORD_BYTES = MAX_INTENT_BYTES + 256;

/** The block at which large payloads begin; between two records are less zeros than this. */
export const RECORD_BLOCK_BYTES = 4096;
/** Smaller payloads begin wherever they do: the page cache takes them, and zeros before each would be a good part of the segment. */
export const MIN_ALIGNED_BYTES = 512 << 10;

/**
 * Zeros before a record, so that its payload begins at a block if it is large.
 * @param end of what is in the segment so far
 * @param minAlignedBytes payloads from this length on are large
 */
export function paddingBefore(
  { length, tableBytes }: Pick<RecordHeader, 'length' | 'tableBytes'>,
  end: number,
  minAlignedBytes = MIN_ALIGNED_BYTES,
): number {
  if (length < minAlignedBytes) return 0;
  const inBlock = (end + RECORD_HEADER_BYTES + tableBytes) % RECORD_BLOCK_BYTES;
  return (RECORD_BLOCK_BYTES - inBlock) % RECORD_BLOCK_BYTES;
}

function writeU64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % TWO_TO_32, at);
  target.writeUInt32LE(Math.floor(value / TWO_TO_32), at + 4);
}

function readU64(source: Buffer, at: number): number {
  return source.readUInt32LE(at + 4) * TWO_TO_32 + source.readUInt32LE(at);
}

/** Header and table of a record that will stand at `position`. */
export function encodeRecordHead(
  record: Omit<RecordHeader, 'tableBytes'>,
  table: Uint8Array,
  position: LogPosition,
): Buffer {
  const head = Buffer.allocUnsafe(RECORD_HEADER_BYTES + table.length);
  RECORD_MAGIC.copy(head, 0);
  head.writeUInt8(RECORD_VERSION, 4);
  head.writeUInt8(record.kind, 5);
  head.writeUInt16LE(0, 6);
  writeU64(head, record.chunk, 8);
  writeU64(head, record.inode, 16);
  writeU64(head, record.fileOffset, 24);
  head.writeUInt32LE(record.length, 32);
  head.writeUInt32LE(table.length, 36);
  head.writeUInt32LE(position.segment, 40);
  head.writeUInt32LE(position.offset, 44);
  head.set(table, RECORD_HEADER_BYTES);
  head.writeUInt32LE(headChecksum(head), CRC_OFFSET);
  return head;
}

function headChecksum(head: Buffer): number {
  return crc32(head.subarray(RECORD_HEADER_BYTES), crc32(head.subarray(0, CRC_OFFSET)));
}

/** Whether header and table (all of `head`) are as they were written. */
export function isHeadIntact(head: Buffer): boolean {
  return headChecksum(head) === head.readUInt32LE(CRC_OFFSET);
}

/**
 * Reads the RECORD_HEADER_BYTES that stand at `position`; undefined when they cannot be a record's header. Whether they
 * are intact only `isHeadIntact` tells, which needs the table too.
 */
export function decodeRecordHeader(bytes: Buffer, position: LogPosition): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES || !bytes.subarray(0, 4).equals(RECORD_MAGIC)) return undefined;
  if (bytes.readUInt8(4) !== RECORD_VERSION) return undefined;
  if (bytes.readUInt32LE(40) !== position.segment || bytes.readUInt32LE(44) !== position.offset)
    return undefined;
  const kind = bytes.readUInt8(5);
  const length = bytes.readUInt32LE(32);
  const tableBytes = bytes.readUInt32LE(36);
  const header = {
    chunk: readU64(bytes, 8),
    inode: readU64(bytes, 16),
    fileOffset: readU64(bytes, 24),
    length,
    tableBytes,
  };
  if (!Number.isSafeInteger(header.chunk) || header.chunk < 1) return undefined;
  if (kind === RecordKind.tombstone) {
    return length === 0 && tableBytes === 0 ? { kind: RecordKind.tombstone, ...header } : undefined;
  }
  if (length < 1 || tableBytes !== checksumTableBytes(length)) return undefined;
  if (kind === RecordKind.intent)
    return length <= MAX_INTENT_RECORD_BYTES ? { kind: RecordKind.intent, ...header } : undefined;
  return kind === RecordKind.chunk && length <= MAX_CHUNK_BYTES
    ? { kind: RecordKind.chunk, ...header }
    : undefined;
}
