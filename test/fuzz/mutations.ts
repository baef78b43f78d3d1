/** Changes of an input: what breaks decoders is mostly a length, a number at its limit, a cut, or two inputs joined. */
import type { SeededRandom } from '../simulation/world/seeded-random.js';

const NUMBERS = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 254, 255, 256, 1023, 1024, 4095, 4096, 16_383,
  16_384, 32_767, 32_768, 65_535, 65_536, 0xff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
];
const BIG_NUMBERS = [
  0n,
  1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
/** Numbers as text, for formats that are text. */
const NUMERALS = [
  '-1',
  '0',
  '1e999',
  '-0',
  '9007199254740993',
  '4294967296',
  '0.5',
  '1e-7',
  'null',
  '""',
  '[]',
  '{}',
];
const MAX_INSERTED = 64;

/** How one change is made; undefined where it cannot be made. */
type Mutation = (input: Buffer, random: SeededRandom, others: Sources) => Buffer | undefined;

export interface Sources {
  /** Other inputs. */
  readonly pool: readonly Buffer[];
  readonly words: readonly string[];
}

/** The input with one to `most` changes, cut at `maxBytes`. */
export function mutate(
  input: Buffer,
  random: SeededRandom,
  sources: Sources,
  maxBytes: number,
  most = 4,
): Buffer {
  let changed: Buffer = Buffer.from(input);
  for (let left = random.integer(1, most + 1); left > 0; left -= 1)
    changed = random.pick(MUTATIONS)(changed, random, sources) ?? changed;
  return changed.subarray(0, maxBytes);
}

const flipBit: Mutation = (input, random) =>
  write(input, random, 1, at => (input[at] = (input[at] ?? 0) ^ (1 << random.integer(0, 8))));
const setByte: Mutation = (input, random) =>
  write(input, random, 1, at => (input[at] = random.pick(NUMBERS) & 0xff));
const addToByte: Mutation = (input, random) =>
  write(input, random, 1, at => (input[at] = ((input[at] ?? 0) + random.integer(-8, 9)) & 0xff));

const setU16: Mutation = (input, random) =>
  write(input, random, 2, at => {
    const value = length(input, random) & 0xffff;
    if (random.isChance(0.5)) input.writeUInt16LE(value, at);
    else input.writeUInt16BE(value, at);
  });

const setU32: Mutation = (input, random) =>
  write(input, random, 4, at => {
    const value = length(input, random);
    if (random.isChance(0.5)) input.writeUInt32LE(value, at);
    else input.writeUInt32BE(value, at);
  });

const setU64: Mutation = (input, random) =>
  write(input, random, 8, at => {
    const value = random.pick(BIG_NUMBERS);
    if (random.isChance(0.5)) input.writeBigUInt64LE(value, at);
    else input.writeBigUInt64BE(value, at);
  });

const truncate: Mutation = (input, random) => input.subarray(0, random.integer(0, input.length + 1));

const remove: Mutation = (input, random) => {
  const [from, until] = range(input, random);
  return Buffer.concat([input.subarray(0, from), input.subarray(until)]);
};

const repeat: Mutation = (input, random) => {
  const [from, until] = range(input, random);
  const piece = input.subarray(from, until);
  const times = random.isChance(0.1) ? random.integer(2, 40) : 1;
  return Buffer.concat([
    input.subarray(0, until),
    ...Array.from({ length: times }, () => piece),
    input.subarray(until),
  ]);
};

const move: Mutation = (input, random) => {
  const [from, until] = range(input, random);
  const piece = Buffer.from(input.subarray(from, until));
  return insert(Buffer.concat([input.subarray(0, from), input.subarray(until)]), random, piece);
};

const insertBytes: Mutation = (input, random) =>
  insert(input, random, random.bytes(random.integer(1, MAX_INSERTED)));

const insertZeros: Mutation = (input, random) =>
  insert(input, random, Buffer.alloc(random.integer(1, MAX_INSERTED)));

const splice: Mutation = (input, random, { pool }) => {
  if (pool.length === 0) return undefined;
  const other = random.pick(pool);
  return Buffer.concat([
    input.subarray(0, random.integer(0, input.length + 1)),
    other.subarray(random.integer(0, other.length + 1)),
  ]);
};

const insertPart: Mutation = (input, random, { pool }) => {
  if (pool.length === 0) return undefined;
  const other = random.pick(pool);
  return insert(input, random, other.subarray(...range(other, random)));
};

const insertWord: Mutation = (input, random, { words }) =>
  words.length === 0 ? undefined : insert(input, random, Buffer.from(random.pick(words), 'latin1'));

const replaceNumeral: Mutation = (input, random) => {
  const found = [...input.toString('latin1').matchAll(/-?\d+(?:\.\d+)?/g)];
  if (found.length === 0) return undefined;
  const { 0: numeral, index } = random.pick(found);
  const other = random.isChance(0.7) ? random.pick(NUMERALS) : String(length(input, random));
  return Buffer.concat([
    input.subarray(0, index),
    Buffer.from(other),
    input.subarray(index + numeral.length),
  ]);
};

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  addToByte,
  setU16,
  setU32,
  setU32,
  setU64,
  truncate,
  remove,
  repeat,
  move,
  insertBytes,
  insertZeros,
  splice,
  insertPart,
  insertWord,
  insertWord,
  replaceNumeral,
];

function write(
  input: Buffer,
  random: SeededRandom,
  bytes: number,
  change: (at: number) => unknown,
): Buffer | undefined {
  if (input.length < bytes) return undefined;
  change(random.integer(0, input.length - bytes + 1));
  return input;
}

/** A number that is a limit somewhere, or about as long as the input. */
function length(input: Buffer, random: SeededRandom): number {
  return random.isChance(0.3) ? Math.max(0, input.length + random.integer(-20, 21)) : random.pick(NUMBERS);
}

function range(input: Buffer, random: SeededRandom): [from: number, until: number] {
  const from = random.integer(0, input.length + 1);
  const most = random.isChance(0.7) ? Math.min(input.length, from + 16) : input.length;
  return [from, random.integer(from, most + 1)];
}

function insert(input: Buffer, random: SeededRandom, piece: Buffer): Buffer {
  const at = random.integer(0, input.length + 1);
  return Buffer.concat([input.subarray(0, at), piece, input.subarray(at)]);
}
