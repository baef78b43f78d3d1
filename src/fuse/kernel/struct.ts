/**
 * A structure of the kernel as a description of its fields, and from it a view: an object whose properties read and write the
 * bytes in place. A view costs one small object, and a field what reading it by hand costs. Little-endian.
 */
import { compileFunction } from 'node:vm';
import { DfsError } from '../../protocol/errors.js';

/**
 * What a field holds: an unsigned or signed number of 16, 32 or 64 bits; `bits64` for numbers whose 64 bits all count, as a
 * bigint; another structure; or, as a number, so many bytes that mean nothing.
 */
type Field = 'u16' | 'u32' | 'i32' | 'u64' | 'i64' | 'bits64' | Struct<Fields> | number;
type Fields = Readonly<Record<string, Field>>;

type Value<Of> = Of extends 'bits64' ? bigint : Of extends Struct<infer Inner> ? View<Inner> : number;
type Named<Of extends Fields> = {
  [Name in keyof Of as Of[Name] extends number ? never : Name]: Of[Name];
};
/** The fields of a structure in memory. A `u64` beyond 2^53 reads as Infinity, which no check lets pass. */
export type View<Of extends Fields> = { -readonly [Name in keyof Named<Of>]: Value<Of[Name]> };
/** Values for fields that are no structures themselves. */
type Values<Of extends Fields> = {
  readonly [Name in keyof Of as Of[Name] extends string ? Name : never]?: Value<Of[Name]>;
};

const BYTES = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8, bits64: 8 } as const;
const TWO_32 = 0x1_0000_0000;

/** The size of fuse_in_header, which the structure of a request comes after. */
export const IN_HEADER_BYTES = 40;

/**
 * A view's class, as source: each structure has accessors of its own, whose offsets are constants. Accessors that all structures
 * share are five times as slow, since V8 then meets objects of many shapes in the same place.
 */
function sourceOf(fields: Fields): string {
  const accessors: string[] = [];
  let at = 0;
  for (const [name, field] of Object.entries(fields)) {
    const offset = `this.$offset + ${at}`;
    if (typeof field === 'object')
      accessors.push(`get ${name}() { return inner.${name}.view(this.$bytes, ${offset}); }`);
    else if (typeof field === 'string') {
      const [read, write] = ACCESS[field];
      accessors.push(`get ${name}() { return ${read(offset)}; }`);
      accessors.push(`set ${name}(value) { ${write(offset)}; }`);
    }
    at += sizeOf(field);
  }
  const constructor = 'constructor(bytes, offset) { this.$bytes = bytes; this.$offset = offset; }';
  return `return class { ${constructor} ${accessors.join(' ')} };`;
}

type Access = readonly [read: (offset: string) => string, write: (offset: string) => string];

/** By Buffer's method of this name. */
function byMethod(type: string): Access {
  return [
    offset => `this.$bytes.read${type}LE(${offset})`,
    offset => `this.$bytes.write${type}LE(value, ${offset})`,
  ];
}

const ACCESS: Readonly<Record<Extract<Field, string>, Access>> = {
  u16: byMethod('UInt16'),
  u32: byMethod('UInt32'),
  i32: byMethod('Int32'),
  bits64: byMethod('BigUInt64'),
  u64: [
    offset => `functions.readU64(this.$bytes, ${offset})`,
    offset => `functions.writeU64(this.$bytes, value, ${offset})`,
  ],
  i64: [
    offset => `functions.readI64(this.$bytes, ${offset})`,
    offset => `functions.writeI64(this.$bytes, value, ${offset})`,
  ],
};
const FUNCTIONS = { readU64, writeU64, readI64, writeI64 };

/** A structure as <linux/fuse.h> declares it. */
export class Struct<Of extends Fields> {
  readonly name: string;
  readonly fields: Of;
  /** sizeof */
  readonly bytes: number;
  readonly #View: new (bytes: Buffer, offset: number) => View<Of>;

  constructor(name: string, fields: Of) {
    this.name = name;
    this.fields = fields;
    this.bytes = Object.values(fields).reduce<number>((sum, field) => sum + sizeOf(field), 0);
    // Its properties follow from the same description as its type.
    this.#View = compileFunction(sourceOf(fields), ['inner', 'functions'])(fields, FUNCTIONS) as new (
      bytes: Buffer,
      offset: number,
    ) => View<Of>;
  }

  /** The structure at `offset` of these bytes, which stay where they are. */
  view(bytes: Buffer, offset: number): View<Of> {
    return new this.#View(bytes, offset);
  }

  /** Where, in a request, what comes after this structure begins. */
  get end(): number {
    return IN_HEADER_BYTES + this.bytes;
  }

  /** The structure with which a request goes on after its header. EINVAL for a request that is too short for it. */
  body(request: Buffer): View<Of> {
    if (request.length < this.end) {
      throw new DfsError('EINVAL', `the kernel sent ${request.length} bytes, too few for ${this.name}`);
    }
    return this.view(request, IN_HEADER_BYTES);
  }

  /**
   * A structure with these values, and zeros elsewhere.
   * @param further so many bytes more come after it
   */
  encode(values: Values<Of>, further = 0): Buffer {
    const bytes = Buffer.alloc(this.bytes + further);
    Object.assign(this.view(bytes, 0), values);
    return bytes;
  }
}

function sizeOf(field: Field): number {
  if (typeof field === 'number') return field;
  return typeof field === 'object' ? field.bytes : BYTES[field];
}

function readU64(bytes: Buffer, offset: number): number {
  const value = bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * TWO_32;
  return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
}

function writeU64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32LE(value % TWO_32, offset);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

function readI64(bytes: Buffer, offset: number): number {
  return bytes.readInt32LE(offset + 4) * TWO_32 + bytes.readUInt32LE(offset);
}

function writeI64(bytes: Buffer, value: number, offset: number): void {
  const high = Math.floor(value / TWO_32);
  bytes.writeUInt32LE(value - high * TWO_32, offset);
  bytes.writeInt32LE(high, offset + 4);
}
