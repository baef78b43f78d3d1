/** The commands that one end of a connection answers, with their handlers. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Command, ReplyOf, RequestOf } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import type { Payload } from '../protocol/frame.js';
import type { Member } from './member.js';

/** What a call brought back. */
export interface Answer<Reply> {
  readonly reply: Reply;
  readonly payload: Payload;
}

export interface CallOptions {
  readonly payload?: Payload;
  /** Rejects with ETIMEDOUT when no answer came by then. */
  readonly timeoutMs: number;
  /** How many servers the other end will pass the request on to, one after the other; default: none. */
  readonly passesOn?: number;
}

/** The connection by which a request came, as RpcConnection has it. */
export interface PeerConnection {
  readonly isClosed: boolean;
  /** The address of the other end. */
  readonly remoteHost: string;
  /** What the other end has proved to be; undefined on a connection that this end made. */
  readonly member: Member | undefined;
  onClose(listener: (reason: DfsError) => void): void;
  call<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Static<Request>,
    options: CallOptions,
  ): Promise<Answer<Static<Reply>>>;
  keep(): void;
  /** Ends the connection; what is under way on it fails with the reason. */
  close(reason?: DfsError): void;
}

/** What a handler knows about the request besides its header. */
export interface CallContext {
  readonly payload: Payload;
  readonly connection: PeerConnection;
  /**
   * Waits until the server's memory has room for a reply of so many payload bytes, and counts them until the reply is
   * sent. For handlers whose replies are large.
   */
  reserve(bytes: number): Promise<void>;
  /** Nobody, the system included, uses the request's payload once it is answered: its memory is free at once (freePayload). */
  freePayload(): void;
}

/** Answers one command: the reply alone, or the reply with a payload. */
export type Handler<C extends Command> = (
  request: RequestOf<C>,
  context: CallContext,
) => Promise<ReplyOf<C> | Answer<ReplyOf<C>>>;

export interface Route {
  readonly command: Command;
  readonly handle: (request: unknown, context: CallContext) => Promise<unknown>;
}

const ANSWER = Symbol('answer');

/** A reply with a payload. */
export function withPayload<Reply>(reply: Reply, payload: Payload): Answer<Reply> {
  return Object.assign({ reply, payload }, { [ANSWER]: true });
}

export function isAnswer(value: unknown): value is Answer<unknown> {
  return typeof value === 'object' && value !== null && ANSWER in value;
}

/** Whose commands have numbers from where on. */
const SERVERS = [
  { from: 2000, name: 'any server' },
  { from: 1000, name: 'a data node' },
  { from: 0, name: 'a metadata server' },
] as const;

function serverOf(commandNumber: number): string {
  return SERVERS.find(({ from }) => commandNumber >= from)?.name ?? '';
}

/** The commands that one end of a connection answers. */
export class Routes {
  /** command number → route */
  readonly #routes = new Map<number, Route>();
  readonly #otherwise: Routes | undefined;

  /** @param otherwise answers what is not known here */
  constructor(otherwise?: Routes) {
    this.#otherwise = otherwise;
  }

  on<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    handler: Handler<Command<Request, Reply>>,
  ): this {
    // `request` was checked against the command's own shape before it gets here, so the cast says what is known.
    const handle = async (request: unknown, context: CallContext): Promise<unknown> =>
      await handler(request as RequestOf<Command<Request, Reply>>, context);
    this.#routes.set(command.number, { command, handle });
    return this;
  }

  find(commandNumber: number): Route | undefined {
    return this.#routes.get(commandNumber) ?? this.#otherwise?.find(commandNumber);
  }

  /** The same, or ENOSYS that says what to do. */
  require(commandNumber: number): Route {
    const route = this.find(commandNumber);
    if (route) return route;
    const server = serverOf(commandNumber);
    throw new DfsError(
      'ENOSYS',
      this.#isOf(server)
        ? `command ${commandNumber} is not known here; the program that sends it is of another version`
        : `command ${commandNumber} is for ${server}, which does not listen here; check the address and the port`,
    );
  }

  #isOf(server: string): boolean {
    for (const number of this.#routes.keys()) if (serverOf(number) === server) return true;
    return this.#otherwise !== undefined && this.#otherwise.#isOf(server);
  }
}
