/**
 * How a command is declared: once, with its name, number, and the shape of request and reply. Client and server take
 * their types and their checks from the declaration.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler';
import { Packr } from 'msgpackr';
import { DfsError } from './errors.js';

const OPTIONS = { moreTypes: false, mapsAsObjects: true, encodeUndefinedAsNil: false };
// Every frame can be read on its own, without records agreed on earlier: plain maps with string keys, and where many objects
// are alike, msgpackr's records (https://github.com/kriszyp/msgpackr#records), whose keys stand in the frame once. These take
// a quarter of the bytes, and a fifth of the time to be read. Both are read by the same decoder.
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

/** msgpack as a value of unknown shape; throws EPROTO. */
export function decodeMessage(bytes: Buffer): unknown {
  try {
    return records.unpack(bytes);
  } catch (error) {
    throw new DfsError('EPROTO', 'a message is not valid msgpack', { cause: error });
  }
}

/** The shape of one message: checks what comes from the wire before anybody uses it. */
export class MessageShape<Schema extends TSchema> {
  readonly #check: TypeCheck<Schema>;
  readonly #name: string;

  constructor(name: string, schema: Schema) {
    this.#name = name;
    this.#check = TypeCompiler.Compile(schema);
  }

  encode(value: Static<Schema>): Buffer {
    return encodeMessage(value);
  }

  /** Throws EPROTO, naming the field, when `bytes` are not such a message. */
  decode(bytes: Buffer): Static<Schema> {
    return this.check(decodeMessage(bytes));
  }

  /** Whether the value is such a message. */
  accepts(value: unknown): boolean {
    return this.#check.Check(value);
  }

  /** The value, if it is such a message; throws EPROTO, naming the field. */
  check(value: unknown): Static<Schema> {
    if (this.#check.Check(value)) return value;
    const first = this.#check.Errors(value).First();
    throw new DfsError(
      'EPROTO',
      `bad ${this.#name}: ${first ? `${first.path || '/'}: ${first.message}` : 'shape'}`,
    );
  }
}

export interface Command<Request extends TSchema = TSchema, Reply extends TSchema = TSchema> {
  readonly name: string;
  readonly number: number;
  readonly request: MessageShape<Request>;
  readonly reply: MessageShape<Reply>;
}

/** What a caller passes for `C`. */
export type RequestOf<C> = C extends Command<infer Request, TSchema> ? Static<Request> : never;
/** What a caller of `C` gets back. */
export type ReplyOf<C> = C extends Command<TSchema, infer Reply> ? Static<Reply> : never;

/** Declares a command. Numbers are part of the wire and never reused. */
export function command<Request extends TSchema, Reply extends TSchema>(
  name: string,
  number: number,
  shapes: { readonly request: Request; readonly reply: Reply },
): Command<Request, Reply> {
  return {
    name,
    number,
    request: new MessageShape(`request '${name}'`, shapes.request),
    reply: new MessageShape(`reply to '${name}'`, shapes.reply),
  };
}
