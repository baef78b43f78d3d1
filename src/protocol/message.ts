/**
 * The msgpack part of a frame. A message is a map with string keys; where many objects are alike, msgpackr's records
 * (https://github.com/kriszyp/msgpackr#records) name their keys once: they take a quarter of the bytes, and a fifth of
 * the time to be read.
 *
 * msgpackr writes messages, but does not read them: bytes of a peer would reach its extensions (regular expressions,
 * sets, typed arrays, references), its compiler of record readers, and its native code, and it keeps records with
 * two-byte ids from one message for the next. The reader below knows the output of `encodeMessage` and nothing else. It
 * keeps nothing between messages, and does work in proportion to the bytes.
 */
import { Packr } from 'msgpackr';
import { DfsError } from './errors.js';
import { findKey, findMaker, type Maker } from './known-keys.js';

const OPTIONS = { moreTypes: false, mapsAsObjects: true, encodeUndefinedAsNil: false };
const plain = new Packr({ ...OPTIONS, useRecords: false });
const records = new Packr({ ...OPTIONS, useRecords: true });
/** From so many objects on in one list, it pays to name their keys once. */
const MANY_ALIKE = 6;

/** Any value as msgpack. */
export function encodeMessage(value: unknown): Buffer {
  return hasManyAlike(value) ? records.pack(value) : plain.pack(value);
}

function hasManyAlike(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some(
    (list: unknown) => Array.isArray(list) && list.length >= MANY_ALIKE && typeof list[0] === 'object',
  );
}

/** Maps and lists within each other. The deepest message of ours, a `batch` of `blocks`, has seven. */
const MAX_DEPTH = 12;
/** Keys of one record. */
const MAX_RECORD_KEYS = 64;
/** Record ids are the 64 small numbers from here on, which a message with records writes as `uint 8`. */
const FIRST_RECORD_ID = 0x40;
const RECORD_IDS = 0x40;
/** The extension by which msgpackr defines a record, `r`. */
const RECORD_DEFINITION = 0x72;
/**
 * Maps and lists that a message may have: some, and one for so many bytes. An empty one takes a byte on the wire and
 * some fifty in memory; those that are worth sending take more than four.
 */
const SPARE_CONTAINERS = 64;
const BYTES_PER_CONTAINER = 4;

const TWO_TO_32 = 0x1_0000_0000;

/** How one record of a message is read: by what is made for its keys, or key by key. */
interface RecordReader {
  readonly keys: readonly string[];
  readonly make: Maker | undefined;
}

// The message that is being read. Reading is synchronous, so that there is one at a time; as fields of an object these
// would make it a third slower.
const NOTHING = Buffer.alloc(0);
let source: Buffer = NOTHING;
let end = 0;
let at = 0;
let depth = 0;
let containersLeft = 0;
/** Record id - FIRST_RECORD_ID → how to read it. */
let readers: (RecordReader | undefined)[] = [];

/** msgpack as a value of unknown shape; throws EPROTO. Byte strings are views on `bytes`. */
export function decodeMessage(bytes: Buffer): unknown {
  source = bytes;
  end = bytes.length;
  at = 0;
  depth = 0;
  containersLeft = SPARE_CONTAINERS + end / BYTES_PER_CONTAINER;
  try {
    const value = read();
    if (at !== end) throw invalid(`${end - at} bytes follow its end`);
    return value;
  } finally {
    source = NOTHING;
    if (readers.length > 0) readers = [];
  }
}

function read(): unknown {
  const token = takeByte();
  if (token < 0x80) return token < FIRST_RECORD_ID ? token : readRecordOrNumber(token);
  if (token < 0x90) return readMap(token - 0x80);
  if (token < 0xa0) return readList(token - 0x90);
  if (token < 0xc0) return readText(token - 0xa0);
  if (token >= 0xe0) return token - 0x100;
  switch (token) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
      return readBytes(takeByte());
    case 0xc5:
      return readBytes(takeU16());
    case 0xc6:
      return readBytes(takeU32());
    case 0xca:
      return source.readFloatBE(take(4));
    case 0xcb:
      return source.readDoubleBE(take(8));
    case 0xcc:
      return takeByte();
    case 0xcd:
      return takeU16();
    case 0xce:
      return takeU32();
    case 0xcf:
      return safe(takeU32() * TWO_TO_32 + takeU32());
    case 0xd0:
      return (takeByte() << 24) >> 24;
    case 0xd1:
      return (takeU16() << 16) >> 16;
    case 0xd2:
      return takeU32() | 0;
    case 0xd3:
      return safe((takeU32() | 0) * TWO_TO_32 + takeU32());
    case 0xd4:
      return readExtension();
    case 0xd9:
      return readText(takeByte());
    case 0xda:
      return readText(takeU16());
    case 0xdb:
      return readText(takeU32());
    case 0xdc:
      return readList(takeU16());
    case 0xdd:
      return readList(takeU32());
    case 0xde:
      return readMap(takeU16());
    case 0xdf:
      return readMap(takeU32());
    default:
      throw invalid(`it has a value of type 0x${token.toString(16)}`);
  }
}

function takeByte(): number {
  const byte = source[at];
  if (byte === undefined) throw invalid('it ends too early');
  at += 1;
  return byte;
}

/** Where the next `length` bytes begin, which are there. */
function take(length: number): number {
  const from = at;
  if (length > end - from) throw invalid('it ends too early');
  at = from + length;
  return from;
}

function takeU16(): number {
  return source.readUInt16BE(take(2));
}

function takeU32(): number {
  return source.readUInt32BE(take(4));
}

function readBytes(length: number): Buffer {
  const from = take(length);
  return source.subarray(from, from + length);
}

function readText(length: number): string {
  if (length === 0) return '';
  const from = take(length);
  return source.toString('utf8', from, from + length);
}

function readKey(): string {
  const token = takeByte();
  let length: number;
  if (token >= 0xa0 && token < 0xc0) length = token - 0xa0;
  else if (token === 0xd9) length = takeByte();
  else throw invalid('a key is no short text');
  const from = take(length);
  const key = findKey(source, from, length) ?? source.toString('utf8', from, from + length);
  // Assigning it would change what the object is.
  if (key === '__proto__') throw invalid('it has a key __proto__');
  return key;
}

function readMap(length: number): Record<string, unknown> {
  enter();
  const map: Record<string, unknown> = {};
  for (let index = 0; index < length; index += 1) {
    const key = readKey();
    map[key] = read();
  }
  depth -= 1;
  return map;
}

function readList(length: number): unknown[] {
  enter();
  // Not made as long as it says: each value takes a byte at least, and may not come.
  const list: unknown[] = [];
  for (let index = 0; index < length; index += 1) list.push(read());
  depth -= 1;
  return list;
}

function readExtension(): unknown {
  const type = takeByte();
  const value = takeByte();
  // msgpackr writes `undefined` so.
  if (type === 0 && value === 0) return undefined;
  if (type !== RECORD_DEFINITION) throw invalid(`it has an extension of type 0x${type.toString(16)}`);
  if (value < FIRST_RECORD_ID || value >= FIRST_RECORD_ID + RECORD_IDS) {
    throw invalid(`it defines a record with the id 0x${value.toString(16)}`);
  }
  const keys = readKeys();
  const reader = { keys, make: findMaker(keys) };
  readers[value - FIRST_RECORD_ID] = reader;
  return readRecord(reader);
}

function readKeys(): readonly string[] {
  const token = takeByte();
  const length = token === 0xdc ? takeU16() : token - 0x90;
  if (length < 0 || length > MAX_RECORD_KEYS) throw invalid('a record has too many keys');
  const keys: string[] = [];
  for (let index = 0; index < length; index += 1) keys.push(readKey());
  return keys;
}

function readRecordOrNumber(token: number): unknown {
  const reader = readers[token - FIRST_RECORD_ID];
  return reader ? readRecord(reader) : token;
}

function readRecord({ keys, make }: RecordReader): unknown {
  enter();
  let record: unknown;
  if (make) {
    record = make(read);
  } else {
    const each: Record<string, unknown> = {};
    for (const key of keys) each[key] = read();
    record = each;
  }
  depth -= 1;
  return record;
}

function enter(): void {
  depth += 1;
  containersLeft -= 1;
  if (depth > MAX_DEPTH) throw invalid(`it is nested more than ${MAX_DEPTH} deep`);
  if (containersLeft < 0) throw invalid('it has too many lists and maps for its length');
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw invalid('it has a number beyond 2^53');
  return value;
}

function invalid(why: string): DfsError {
  return new DfsError('EPROTO', `a message is not valid msgpack of ours: ${why}`);
}
