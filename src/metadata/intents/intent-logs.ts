/**
 * The intent logs that sessions have open (protocol/intents.ts, docs/decisions/51): of which file each is, and how far its intents are
 * committed.
 *
 *     blocks, wantsLog ──► open ──blocks, carriesOut──► open … ──endlog──► over
 *                            └── its session has the file no longer to itself, or this server was started anew ──► owed ──replayed──► over
 *
 * While a log is owed, nobody reads its file: a client may have told its programs that something of it is on stable storage which
 * only data nodes know. The record of a log goes only in a transaction in which all of its intents are committed.
 */
import { Counts } from '../../platform/counts.js';
import type { IntentLogRecord } from '../store/store.js';

/** Logs that one session may have. */
export const MAX_SESSION_LOGS = 64;

export class IntentLogs {
  /** inode → its log */
  readonly #logs = new Map<number, IntentLogRecord>();
  readonly #numbers = new Set<number>();
  readonly #bySession = new Counts<number>();
  /** Inodes whose log this server replays even while its own session has them. */
  readonly #demanded = new Set<number>();

  /** A log that an earlier process left. */
  load(record: IntentLogRecord): void {
    this.set(record);
    this.#demanded.add(record.inode);
  }

  of(inode: number): IntentLogRecord | undefined {
    return this.#logs.get(inode);
  }

  /** Whether the log of this number is open, or owed. */
  has(log: number): boolean {
    return this.#numbers.has(log);
  }

  /** How many logs the session has. */
  countOf(session: number): number {
    return this.#bySession.get(session);
  }

  /** The inode has this log, in place of another one that it may have had. */
  set(record: IntentLogRecord): void {
    this.delete(record.inode);
    this.#logs.set(record.inode, record);
    this.#numbers.add(record.log);
    this.#bySession.add(record.session);
  }

  /** The inode's log goes on with this record. */
  advance(record: IntentLogRecord): void {
    this.#logs.set(record.inode, record);
  }

  delete(inode: number): void {
    const record = this.#logs.get(inode);
    if (!record) return;
    this.#logs.delete(inode);
    this.#demanded.delete(inode);
    this.#numbers.delete(record.log);
    this.#bySession.take(record.session);
  }

  /** The inode's log is replayed before anybody reads the inode, also its own session. */
  demand(inode: number): void {
    if (this.#logs.has(inode)) this.#demanded.add(inode);
  }

  /**
   * Whether the inode's log is to be replayed before anybody reads the inode.
   * @param holder the session that has the inode to itself
   */
  isOwed(inode: number, holder: number | undefined): boolean {
    if (this.#logs.size === 0) return false;
    const record = this.#logs.get(inode);
    return record !== undefined && (record.session !== holder || this.#demanded.has(inode));
  }

  /** Every log. */
  all(): IterableIterator<IntentLogRecord> {
    return this.#logs.values();
  }
}
