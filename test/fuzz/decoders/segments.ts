/** Segment files of a data node, as they are read when it starts (src/datanode/segment-scan.ts). */
import type { DiskFile } from '../../../src/platform/disk.js';
import { checksumTableBytes, computeChecksums } from '../../../src/protocol/checksum.js';
import { MAX_CHUNK_BYTES } from '../../../src/protocol/limits.js';
import {
  encodeRecordHead,
  isHeadIntact,
  RECORD_BLOCK_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RecordKind,
  type RecordHeader,
} from '../../../src/datanode/record.js';
import { scanSegment, type Scanned } from '../../../src/datanode/segment-scan.js';
import { crc32 } from 'node:zlib';
import type { SeededRandom } from '../../simulation/world/seeded-random.js';
import { promise, type Decoder } from '../decoder.js';

const SEGMENT = 7;
const MAX_RECORDS = 5;
const CRC_AT = 48;

export const segments: Decoder = {
  name: 'segments',
  words: ['DFSr', 'DFSr\x01\x01\0\0', 'DFSr\x01\x02\0\0'],
  maxInputBytes: 100_000,
  make: segmentOf,
  mend: mendHeads,
  async decode(input) {
    for (const verifyPayload of [true, false]) {
      let at = 0;
      const scan = { file: fileOf(input), segment: SEGMENT, from: 0, size: input.length, verifyPayload };
      for await (const found of scanSegment(scan)) {
        const padding = found.offset - at;
        promise(found.end > at && padding >= 0, 'what is found stands one behind the other');
        promise(
          padding === 0 || isPadding(input, found, padding),
          'fewer zeros than a block stand before a record',
        );
        promise(found.end <= input.length, 'what is found ends in the file');
        at = found.end;
        if (found.is === 'record') checkRecord(input, found.header, found.offset, found.end);
      }
      promise(at === input.length, 'all of the file is a record or damage');
    }
  },
  mayThrow: () => false,
};

function isPadding(input: Buffer, { is, offset }: Scanned, padding: number): boolean {
  const zeros = input.subarray(offset - padding, offset);
  return is === 'record' && padding < RECORD_BLOCK_BYTES && zeros.every(byte => byte === 0);
}

/** A record's bytes are what its header encodes as, wherever they stand. */
function checkRecord(input: Buffer, header: RecordHeader, offset: number, end: number): void {
  const headEnd = offset + RECORD_HEADER_BYTES + header.tableBytes;
  promise(end === headEnd + header.length, 'a record is as long as its parts');
  promise(
    header.length <= MAX_CHUNK_BYTES && header.chunk >= 1,
    'a header that was taken is within the limits',
  );
  const head = Buffer.from(input.subarray(offset, headEnd));
  promise(isHeadIntact(head), 'a header that was taken matches its checksum');
  // Hints are not used, and may be numbers that cannot be told apart; two bytes are zero, and not looked at.
  if (
    !Number.isSafeInteger(header.inode) ||
    !Number.isSafeInteger(header.fileOffset) ||
    head.readUInt16LE(6) !== 0
  )
    return;
  const again = encodeRecordHead(header, head.subarray(RECORD_HEADER_BYTES), { segment: SEGMENT, offset });
  promise(again.equals(head), 'a header is encoded as other bytes than those it was decoded from');
}

function segmentOf(random: SeededRandom): Buffer {
  const parts: Buffer[] = [];
  let offset = 0;
  for (let left = random.integer(0, MAX_RECORDS); left > 0; left -= 1) {
    const isTombstone = random.isChance(0.3);
    const length = isTombstone ? 0 : random.pick([1, 100, 16_384, 16_385, 40_000]);
    const payload = Buffer.alloc(length, random.integer(0, 256));
    const kind = isTombstone ? RecordKind.tombstone : RecordKind.chunk;
    const record = {
      kind,
      chunk: random.integer(1, 1e6),
      inode: random.integer(0, 1e6),
      fileOffset: 0,
      length,
    };
    if (random.isChance(0.3)) {
      parts.push(Buffer.alloc(random.pick([1, 100, RECORD_BLOCK_BYTES - 1, RECORD_BLOCK_BYTES])));
      offset += parts.at(-1)?.length ?? 0;
    }
    parts.push(encodeRecordHead(record, computeChecksums([payload]), { segment: SEGMENT, offset }), payload);
    if (random.isChance(0.1)) parts.push(random.bytes(random.integer(1, 60)));
    offset = parts.reduce((sum, part) => sum + part.length, 0);
  }
  return Buffer.concat(parts);
}

/** Headers get the place where they stand, and the checksum that they should have; tables, their length. */
function mendHeads(input: Buffer): Buffer {
  const mended = Buffer.from(input);
  for (let at = mended.indexOf(RECORD_MAGIC); at >= 0; at = mended.indexOf(RECORD_MAGIC, at + 1)) {
    if (at + RECORD_HEADER_BYTES > mended.length) break;
    mended.writeUInt32LE(SEGMENT, at + 40);
    mended.writeUInt32LE(at, at + 44);
    const tableBytes = checksumTableBytes(mended.readUInt32LE(at + 32));
    mended.writeUInt32LE(tableBytes, at + 36);
    const table = mended.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + tableBytes);
    mended.writeUInt32LE(crc32(table, crc32(mended.subarray(at, at + CRC_AT))), at + CRC_AT);
  }
  return mended;
}

/** A file that holds these bytes. */
function fileOf(bytes: Buffer): DiskFile {
  const isReadOnly = async (): Promise<never> => await Promise.reject(new Error('only read'));
  return {
    pread: async (target, position) => bytes.copy(target, 0, position),
    size: async () => bytes.length,
    close: async () => undefined,
    writev: isReadOnly,
    datasync: isReadOnly,
    truncate: isReadOnly,
  };
}
