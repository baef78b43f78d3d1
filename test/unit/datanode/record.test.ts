import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  decodeRecordHeader,
  encodeRecordHead,
  isHeadIntact,
  RECORD_HEADER_BYTES,
  RecordKind,
} from '../../../src/datanode/record.js';
import { computeChecksums } from '../../../src/protocol/checksum.js';

const POSITION = { segment: 7, offset: 4096 };
const payload = randomBytes(40_000);
const table = computeChecksums([payload]);
const record = {
  kind: RecordKind.chunk,
  chunk: Number.MAX_SAFE_INTEGER,
  inode: 2 ** 40 + 5,
  fileOffset: 2 ** 52 + 1,
  length: payload.length,
};

t.test('a header is read as it was written, with numbers up to 2^53', async t => {
  const head = encodeRecordHead(record, table, POSITION);
  t.equal(head.length, RECORD_HEADER_BYTES + table.length);
  t.ok(isHeadIntact(head));
  t.same(decodeRecordHeader(head, POSITION), { ...record, tableBytes: table.length });
  t.ok(head.subarray(RECORD_HEADER_BYTES).equals(table));
});

t.test('one flipped bit anywhere in header or table is noticed', async t => {
  const head = encodeRecordHead(record, table, POSITION);
  for (let bit = 0; bit < head.length * 8; bit += 1) {
    const damaged = Buffer.from(head);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    if (decodeRecordHeader(damaged, POSITION) && isHeadIntact(damaged)) t.fail(`bit ${bit} went unnoticed`);
  }
});

t.test('a record is none at any other place', async t => {
  const head = encodeRecordHead(record, table, POSITION);
  t.equal(decodeRecordHeader(head, { segment: 7, offset: 4097 }), undefined);
  t.equal(decodeRecordHeader(head, { segment: 8, offset: 4096 }), undefined);
});

t.test('a tombstone has no payload', async t => {
  const tombstone = { kind: RecordKind.tombstone, chunk: 9, inode: 0, fileOffset: 0, length: 0 };
  const head = encodeRecordHead(tombstone, new Uint8Array(), POSITION);
  t.same(decodeRecordHeader(head, POSITION), { ...tombstone, tableBytes: 0 });
  t.equal(
    decodeRecordHeader(encodeRecordHead({ ...tombstone, length: 1 }, new Uint8Array(), POSITION), POSITION),
    undefined,
  );
});
