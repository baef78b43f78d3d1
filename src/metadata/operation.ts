/** An operation: one command's transaction, as a value. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Timespec } from '../platform/clock.js';
import type { Command } from '../protocol/command.js';
import type { SessionRights } from './exports/session-rights.js';
import type { TaskControl } from './group-commit.js';
import type { ChangeTrace } from './leases/change-trace.js';
import type { Claim } from './leases/exclusive-leases.js';
import type { Peer } from './peer.js';
import type { ServerState } from './server-state.js';
import type { StoreTransaction } from './store/store.js';

/** What an operation knows besides its request and the store. */
export interface OperationContext {
  /** When the request is executed, as it goes into the times of files. */
  readonly now: Timespec;
  /**
   * The same in whole ms since the epoch, as if nobody had set the clock since this process started: graces are measured
   * by it, and grants expire by it. Data nodes are told it, and compare no clock of their own with it.
   */
  readonly nowMs: number;
  readonly state: ServerState;
  readonly control: TaskControl;
  /** Whether it may go on in another transaction (`control.pause`). */
  readonly mayPause: boolean;
  readonly peer: Peer | undefined;
  /** The session that asks: the connection's own. */
  readonly session: number | undefined;
  /** What the session may do; undefined: everything. */
  readonly rights: SessionRights | undefined;
  /** The same transaction, of which it is not noted what is read. */
  readonly untraced: StoreTransaction;
  readonly trace: ChangeTrace;
  readonly claim: Claim;
}

/** Every check of a request comes before its first change, to the store or to what is kept in memory. */
export type Execute<Request extends TSchema, Reply extends TSchema> = (
  tx: StoreTransaction,
  request: Static<Request>,
  context: OperationContext,
) => Promise<Static<Reply>>;

export interface Operation<Request extends TSchema = TSchema, Reply extends TSchema = TSchema> {
  readonly command: Command<Request, Reply>;
  readonly execute: Execute<Request, Reply>;
  /**
   * Done again in memory when a repeated request is answered from what is remembered: what the server lost with a
   * restart between the two.
   */
  readonly repeat?: (request: Static<Request>, reply: Static<Reply>, context: OperationContext) => void;
}

/** Declares the operation that executes `command`. */
export function operation<Request extends TSchema, Reply extends TSchema>(
  command: Command<Request, Reply>,
  execute: Execute<Request, Reply>,
  repeat?: (request: Static<Request>, reply: Static<Reply>, context: OperationContext) => void,
): Operation<Request, Reply> {
  return repeat ? { command, execute, repeat } : { command, execute };
}

/** Whole milliseconds since the epoch. */
export function toMs(time: Timespec): number {
  return time.sec * 1000 + Math.floor(time.nsec / 1e6);
}
