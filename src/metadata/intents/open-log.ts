/** Opens a file's intent log, carries intents out, and ends it (intent-logs.ts). */
import { DfsError } from '../../protocol/errors.js';
import {
  MIN_INTENT_COPIES,
  type CarriedOut,
  type OpenedLog,
  type WantedLog,
} from '../../protocol/intents.js';
import { HeldElsewhere } from '../leases/reading.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, IntentLogRecord, StoreTransaction } from '../store/store.js';
import { MAX_SESSION_LOGS } from './intent-logs.js';

/** A number that nobody guesses has so many random bits. */
const NUMBER_BYTES = 6;

/**
 * Before anything is changed: the log from before that a session replaces must be committed as a whole, else it is replayed first.
 * @throws HeldElsewhere
 */
export function requireCarriedOut(
  inode: number,
  { before }: WantedLog,
  { state: { intentLogs } }: Pick<OperationContext, 'state'>,
): void {
  const log = intentLogs.of(inode);
  if (!log || (before?.log === log.log && before.last === log.done)) return;
  intentLogs.demand(inode);
  throw new HeldElsewhere([inode]);
}

/** The log of the file for the session that asks; undefined where it does not get one. */
export async function openLog(
  tx: StoreTransaction,
  { inode, goal, version }: InodeRecord,
  context: OperationContext,
): Promise<OpenedLog | undefined> {
  const { state, session } = context;
  const { intentLogs, exclusive, nodes: table, clock, random } = state;
  if (session === undefined || exclusive.holderOf(inode) !== session || goal < MIN_INTENT_COPIES)
    return undefined;
  if (intentLogs.countOf(session) >= MAX_SESSION_LOGS && !intentLogs.of(inode)) return undefined;
  const nodes = table.takers(clock.monotonicMs()).map(({ record }) => record.node);
  if (nodes.length < MIN_INTENT_COPIES) return undefined;
  const log = random.bytes(NUMBER_BYTES).readUIntLE(0, NUMBER_BYTES) + 1;
  await put(tx, { inode, session, log, done: 0, version, nodes }, context);
  return { log, nodes };
}

/** The log whose intents a commit carries out; undefined when it is over. EINVAL for others than the next ones. */
export function logOf(
  inode: number,
  { log, first, last }: CarriedOut,
  { state, session }: OperationContext,
): IntentLogRecord | undefined {
  const open = state.intentLogs.of(inode);
  if (open?.log !== log || open.session !== session) return undefined;
  if (first !== open.done + 1 || last < first)
    throw new DfsError('EINVAL', `intents ${first} to ${last} do not follow ${open.done}`);
  return open;
}

/** The log's intents up to `done` are committed with this transaction; the file has that version then. */
export async function noteDone(
  tx: StoreTransaction,
  log: IntentLogRecord,
  { done, version }: Pick<IntentLogRecord, 'done' | 'version'>,
  context: OperationContext,
): Promise<void> {
  const { intentLogs } = context.state;
  await tx.intentLogs.advance(log.inode, done, version);
  intentLogs.advance({ ...log, done, version });
  context.control.onRollback(() => intentLogs.advance(log));
}

/** The log is over: all of its intents are committed. */
export async function endLog(
  tx: StoreTransaction,
  log: IntentLogRecord,
  { state: { intentLogs }, control }: Pick<OperationContext, 'state' | 'control'>,
): Promise<void> {
  await tx.intentLogs.delete(log.inode);
  intentLogs.delete(log.inode);
  control.onRollback(() => intentLogs.load(log));
}

async function put(
  tx: StoreTransaction,
  log: IntentLogRecord,
  { state: { intentLogs }, control }: OperationContext,
): Promise<void> {
  const before = intentLogs.of(log.inode);
  await tx.intentLogs.put(log);
  intentLogs.set(log);
  control.onRollback(() => {
    intentLogs.delete(log.inode);
    if (before) intentLogs.load(before);
  });
}
