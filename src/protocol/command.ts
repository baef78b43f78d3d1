/**
 * The declaration of a command: once, with its name, number, and the shape of request and reply. Client and server take
 * their types and their checks from the declaration.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { DfsError } from './errors.js';
import { learnShape } from './known-keys.js';
import { DEFAULT_REQUEST_BYTES } from './limits.js';
import { decodeMessage, encodeMessage } from './message.js';
import type { Allow } from './roles.js';
import { ShapeCheck } from './shape-check.js';

/** Of a longer message it is not said which field is wrong: to find that takes many times as long as reading it. */
const MAX_EXPLAINED_BYTES = 16 << 10;

const NOTHING: Changes = {};

/** The shape of one message: checks what comes from the wire before anybody uses it. */
export class MessageShape<Schema extends TSchema> {
  readonly #name: string;
  readonly schema: Schema;
  readonly #check: ShapeCheck<Schema>;

  constructor(name: string, schema: Schema) {
    this.#name = name;
    this.schema = schema;
    this.#check = new ShapeCheck(schema);
    learnShape(schema);
  }

  encode(value: Static<Schema>): Buffer {
    return encodeMessage(value);
  }

  /** Throws EPROTO, naming the field, when `bytes` are not such a message. */
  decode(bytes: Buffer): Static<Schema> {
    return this.#require(decodeMessage(bytes), bytes.length <= MAX_EXPLAINED_BYTES);
  }

  /** Whether the value is such a message. */
  accepts(value: unknown): boolean {
    return this.#check.accepts(value);
  }

  /** The value, if it is such a message; throws EPROTO, naming the field. */
  check(value: unknown): Static<Schema> {
    return this.#require(value, true);
  }

  #require(value: unknown, isExplained: boolean): Static<Schema> {
    if (this.#check.accepts(value)) return value;
    const complaint = isExplained ? this.#check.complaint(value) : undefined;
    throw new DfsError('EPROTO', `bad ${this.#name}: ${complaint ?? 'it has another shape'}`);
  }
}

/** What a request has changed when it is answered; a power loss of the server may take it back within a second. */
export interface Changes {
  /** Directories in which names came, went, or lead elsewhere. */
  readonly names?: readonly number[];
  /** Inodes with other attributes, extended attributes or links. */
  readonly inodes?: readonly number[];
  /** Files with other content, and so another size or other times. */
  readonly content?: readonly number[];
}

/** What a request changes, by its reply; without the reply, where that is not known, what the request alone says. */
type ChangesOf<Request extends TSchema, Reply extends TSchema> = (
  request: Omit<Static<Request>, 'once'>,
  reply: Static<Reply> | undefined,
) => Changes;

export interface Command<Request extends TSchema = TSchema, Reply extends TSchema = TSchema> {
  readonly name: string;
  readonly number: number;
  /** Who may send it. */
  readonly allow: Allow;
  readonly request: MessageShape<Request>;
  readonly reply: MessageShape<Reply>;
  /** Bytes of the longest request, without its payload: what is longer is refused before it is read. */
  readonly maxRequestBytes: number;
  /** Bytes of the longest payload of a request. */
  readonly maxPayloadBytes: number;
  /** What it changes, for a request that is numbered; others change nothing that a client has to answer for. */
  changes(request: Omit<Static<Request>, 'once'>, reply: Static<Reply> | undefined): Changes;
  /** About how long the reply to a request gets where it may get long: there must be memory before it is made. Else 0. */
  replyBytes(request: Static<Request>): number;
  /** Bytes of the longest payload of the reply to a request. */
  replyPayloadBytes(request: Static<Request>): number;
}

/** What a caller passes for `C`. */
export type RequestOf<C> = C extends Command<infer Request> ? Static<Request> : never;
/** What a caller of `C` gets back. */
export type ReplyOf<C> = C extends Command<TSchema, infer Reply> ? Static<Reply> : never;

interface Declared<Request extends TSchema, Reply extends TSchema> {
  readonly allow: Allow;
  readonly request: Request;
  readonly reply: Reply;
  /** Default: DEFAULT_REQUEST_BYTES. */
  readonly maxRequestBytes?: number;
  /** Default: none. */
  readonly maxPayloadBytes?: number;
  /** Default: 0. */
  readonly replyBytes?: (request: Static<Request>) => number;
  /** Default: none. */
  readonly replyPayloadBytes?: (request: Static<Request>) => number;
  /** Default: nothing. */
  readonly changes?: ChangesOf<Request, Reply>;
}

/** A numbered request changes something, and its command declares what. */
type DeclaresChanges<Request extends TSchema, Reply extends TSchema> =
  Static<Request> extends { readonly once: unknown }
    ? { readonly changes: ChangesOf<Request, Reply> }
    : unknown;

/** Declares a command. Numbers are part of the wire and never reused. */
export function command<Request extends TSchema, Reply extends TSchema>(
  name: string,
  number: number,
  declared: Declared<Request, Reply> & DeclaresChanges<Request, Reply>,
): Command<Request, Reply> {
  return {
    name,
    number,
    allow: declared.allow,
    request: new MessageShape(`request '${name}'`, declared.request),
    reply: new MessageShape(`reply to '${name}'`, declared.reply),
    maxRequestBytes: declared.maxRequestBytes ?? DEFAULT_REQUEST_BYTES,
    maxPayloadBytes: declared.maxPayloadBytes ?? 0,
    replyBytes: declared.replyBytes ?? (() => 0),
    replyPayloadBytes: declared.replyPayloadBytes ?? (() => 0),
    changes: declared.changes ?? (() => NOTHING),
  };
}
