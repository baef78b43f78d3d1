import { encode as packed, Packr } from 'msgpackr';
import t from 'tap';
import type { Command } from '../../../src/protocol/command.js';
import * as backup from '../../../src/protocol/backup-commands.js';
import * as cluster from '../../../src/protocol/cluster-commands.js';
import * as content from '../../../src/protocol/content-commands.js';
import * as datanode from '../../../src/protocol/datanode-commands.js';
import * as locks from '../../../src/protocol/lock-commands.js';
import * as names from '../../../src/protocol/namespace-commands.js';
import * as sessions from '../../../src/protocol/session-commands.js';
import { DEFAULT_REQUEST_BYTES } from '../../../src/protocol/limits.js';
import { decodeMessage, encodeMessage } from '../../../src/protocol/message.js';

const BAD = { code: 'EPROTO' };
/** fixext 1, `r`, the id, then the keys and the first record. */
const DEFINE = [0xd4, 0x72];

function bytesOf(...parts: (number | number[] | string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.map(part => (typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part as string))),
  );
}

t.test('every value that a message may have comes back as it was', async t => {
  const numbers = [0, 31, 63, 64, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
  const value = {
    numbers: [...numbers, ...numbers.map(each => -each - 1).slice(0, -1), 0.5, -1e300],
    texts: ['', 'a', 'ü'.repeat(20), 'long '.repeat(60), 'x'.repeat(70_000)],
    bytes: [0, 1, 255, 256, 70_000].map(length => Buffer.alloc(length, 7)),
    others: [true, false, null, undefined, [], {}, [[1], { a: [{}] }]],
    many: Array.from({ length: 20 }, (_, index) => ({ [`key${index}`]: index, b: { c: 100 + index } })),
  };
  t.same(decodeMessage(encodeMessage(value)), value);
  t.same(decodeMessage(encodeMessage({ alike: [], value: 100 })), { alike: [], value: 100 });
  t.same(decodeMessage(bytesOf([0xcf, 0, 0, 0, 1, 0, 0, 0, 2])), 2 ** 32 + 2);
  t.same(decodeMessage(bytesOf([0xd3, 255, 255, 255, 255, 255, 255, 255, 254])), -2);
});

t.test('no record definition outlives its message, whatever its id', async t => {
  const define = (id: number): Buffer => bytesOf([...DEFINE, id, 0x91, 0xa1], 'k', 5);
  for (let id = 0x40; id < 0x80; id += 1) {
    t.same(decodeMessage(define(id)), { k: 5 });
    t.equal(decodeMessage(bytesOf(id)), id, 'in the next message it is a number again');
  }
  // Two-byte ids, which msgpackr kept for ever, and ids that are no records'.
  for (const bad of [
    [0xd5, 0x72, 3, 1],
    [...DEFINE, 3],
    [...DEFINE, 0x80],
  ]) {
    t.throws(() => decodeMessage(bytesOf([...bad, 0x91, 0xa1], 'k', 5)), BAD);
  }
  // One that fails in the middle leaves nothing either.
  t.throws(() => decodeMessage(bytesOf(0x92, [...define(0x41)], 0xc1)), BAD);
  t.equal(decodeMessage(bytesOf(0x41)), 0x41);
});

t.test('what only msgpackr knows is refused: dates, sets, references, patterns, big numbers', async t => {
  const rich = new Packr({ moreTypes: true, structuredClone: true, useRecords: false });
  const circular: { self?: unknown } = {};
  circular.self = circular;
  for (const value of [
    new Date(),
    new Set([1]),
    /a+/,
    new Float64Array(2),
    2n ** 62n,
    circular,
    new Error('x'),
  ]) {
    t.throws(() => decodeMessage(rich.pack({ value })), BAD);
  }
  t.throws(() => decodeMessage(packed(new Map([[{ a: 1 }, 2]]))), BAD, 'keys are texts');
  t.throws(() => decodeMessage(bytesOf(0x81, 0xa9, '__proto__', 0x80)), BAD);
});

t.test('a message costs no more than its bytes are worth', async t => {
  const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0])]);
  t.ok(decodeMessage(nested(12)));
  t.throws(() => decodeMessage(nested(13)), BAD, 'nesting is bounded');
  t.throws(() => decodeMessage(nested(1e6)), BAD, 'also where the stack would end');
  const empty = (count: number): Buffer =>
    bytesOf(0xdd, [0, 0, count >> 8, count & 255], Buffer.alloc(count, 0x80));
  t.ok(decodeMessage(empty(60)));
  t.throws(() => decodeMessage(empty(10_000)), BAD, 'a byte does not make an object');
  t.throws(
    () => decodeMessage(bytesOf([0xdd, 255, 255, 255, 255], 1)),
    BAD,
    'a length alone takes no memory',
  );
  t.throws(() => decodeMessage(bytesOf([0xdf, 255, 255, 255, 255], 1)), BAD);
  t.throws(() => decodeMessage(bytesOf([0xc6, 255, 255, 255, 255], 1)), BAD);
  const keys = bytesOf([...DEFINE, 0x40, 0xdc, 255, 255], Buffer.alloc(65_535, 0xa0));
  t.throws(() => decodeMessage(keys), BAD, 'nor does a record have thousands of keys');
});

t.test('a message that was cut, or goes on, is refused', async t => {
  const whole = encodeMessage({
    parent: 1,
    name: Buffer.from('abc'),
    caller: { uid: 70_000, groups: [1, 2] },
  });
  for (let length = 0; length < whole.length; length += 1) {
    t.throws(() => decodeMessage(whole.subarray(0, length)), BAD);
  }
  t.throws(() => decodeMessage(Buffer.concat([whole, Buffer.from([0])])), BAD);
});

t.test('random bytes are read or refused, and never anything else', async t => {
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) & 0xff;
  let read = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.from(Array.from({ length: 1 + (random() % 24) }, random));
    try {
      decodeMessage(bytes);
      read += 1;
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EPROTO') throw error;
    }
  }
  t.ok(read > 10, `${read} of them are messages`);
});

t.test('few commands have long requests, and few have payloads', async t => {
  const all = [backup, cluster, content, datanode, locks, names, sessions].flatMap(each =>
    Object.values(each).filter(isCommand),
  );
  const long = all.filter(({ maxRequestBytes }) => maxRequestBytes > DEFAULT_REQUEST_BYTES);
  t.same(long.map(({ name }) => name).sort(), [
    'assemble',
    'batch',
    'blocks',
    'heartbeat',
    'hold',
    'inventory',
    'list',
    'recall',
    'resolve',
    'revoke',
    'session',
    'setxattr',
    'sync',
    'write',
  ]);
  t.ok(long.every(({ maxRequestBytes }) => maxRequestBytes <= 3 << 20));
  const loaded = all.filter(({ maxPayloadBytes }) => maxPayloadBytes > 0);
  t.same(loaded.map(({ name }) => name).sort(), ['backup-write', 'write']);
});

function isCommand(value: unknown): value is Command {
  return typeof value === 'object' && value !== null && 'maxRequestBytes' in value;
}
