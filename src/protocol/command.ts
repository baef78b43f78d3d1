/**
 * How a command is declared: once, with its name, number, and the shape of request and reply. Client and server take
 * their types and their checks from the declaration.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler';
import { Packr } from 'msgpackr';
import { DfsError } from './errors.js';

// Plain maps with string keys: every frame can be read on its own, without records agreed on earlier.
const packr = new Packr({
  useRecords: false,
  moreTypes: false,
  mapsAsObjects: true,
  encodeUndefinedAsNil: false,
});

/** Any value as msgpack. */
export function encodeMessage(value: unknown): Buffer {
  return packr.pack(value);
}

/** msgpack as a value of unknown shape; throws EPROTO. */
export function decodeMessage(bytes: Buffer): unknown {
  try {
    return packr.unpack(bytes);
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
