/**
 * The intent logs of this client (protocol/intents.ts, docs/decisions/51): files that it has to itself, and that programs sync again and
 * again. A sync of such a file waits for data nodes alone, which have with the bytes what their commit will make of the file.
 *
 *     synced a few times ──blocks, wantsLog──► open ──synced as a whole──► in use ──► void
 *                                                       └── taken, stored, committed ahead, in this order ──┘
 *
 * A log is in use while the file has been changed by nothing but its intents: so long everything of the file is on stable storage, as
 * itself or as an intent. Version and ctime tell; who sees another one than the last intent left syncs the file in the usual way, and
 * gets another log. A log is void for good when this client had to give the file back, or its connection was made anew: from then on
 * the server may have carried the intents out in its place.
 */
import { LRUCache } from 'lru-cache';
import type { Timespec } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import {
  IntendedChange,
  MAX_INTENT_EXTENTS,
  MIN_INTENT_COPIES,
  type CarriedOut,
  type OpenedLog,
  type WantedLog,
} from '../../protocol/intents.js';
import type { Attributes } from '../../protocol/types.js';
import type { HeldInodes } from '../leases/held-inodes.js';

/** Fewer than a session may have (metadata/intents/intent-logs.ts): those that are over take a moment to end. */
const MAX_LOGS = 32;
/** Files of which it is remembered that they are synced. */
const MAX_SYNCED = 256;
/** A file that was synced so often since it was last forgotten gets a log. */
const SYNCS_BEFORE = 3;
/** A file whose log came to fewer intents than this is asked another one for after some more syncs. */
const FEW_INTENTS = 4;
const SYNCS_SPARED = 16;
/** With so many intents that the server may lose with its power it is asked to sync, and with so many it is waited for. */
const SYNC_AT = 64;
const MAX_OUTSTANDING = 512;

/** An intent on its way. */
export interface TakenIntent {
  readonly owner: IntentLog;
  readonly sequence: number;
  /** An encoded IntendedChange. */
  readonly change: Buffer;
  readonly mtime: Timespec;
}

/** A chunk that was stored, perhaps with an intent. */
export interface StoredIntent {
  readonly intent: TakenIntent | undefined;
  readonly chunk: { readonly hasIntent: boolean };
  /** What its commit makes of the file's modification time, by now. */
  readonly mtime: Timespec;
}

/** Where the log of an inode stands when it is asked for. */
interface OpeningTicket {
  readonly held: number;
  readonly greetings: number;
}

/** The log of one file. */
export class IntentLog {
  readonly inode: number;
  readonly number: number;
  readonly nodes: ReadonlySet<number>;
  readonly ticket: OpeningTicket;
  /** What the file was after the last intent that is committed here. */
  version: number;
  ctime: Timespec;
  /** Everything before its first intent is on stable storage. */
  isInUse = false;
  isVoid = false;
  /** The last intent that was taken, that is committed here, whose commit was answered, and whose commit is on stable storage. */
  taken = 0;
  committed = 0;
  answered = 0;
  done = 0;
  isSyncing = false;

  constructor(inode: number, opened: OpenedLog, { version, ctime }: Attributes, ticket: OpeningTicket) {
    this.inode = inode;
    this.number = opened.log;
    this.nodes = new Set(opened.nodes);
    this.version = version;
    this.ctime = ctime;
    this.ticket = ticket;
  }

  isAt({ version, ctime }: Attributes): boolean {
    return version === this.version && ctime.sec === this.ctime.sec && ctime.nsec === this.ctime.nsec;
  }
}

export interface IntentLogsOptions {
  readonly log: Logger;
  readonly held: Pick<HeldInodes, 'has' | 'ticket' | 'mayGive'>;
  /** How often a file is synced before it gets a log; default: 3. */
  readonly syncsBefore?: number | undefined;
  /** What is known of an inode. */
  readonly attributes: (inode: number) => Attributes | undefined;
  /** How often a connection to the server was begun. */
  readonly greetings: () => number;
  /** Every change that was answered is on the server's stable storage when it resolves. */
  readonly sync: () => Promise<void>;
  /** Tells the server that a log is over, behind everything that was committed here. */
  readonly end: (log: Pick<IntentLog, 'inode' | 'number' | 'committed'>) => Promise<void>;
}

export class IntentLogs {
  readonly #options: IntentLogsOptions;
  /** inode → its log, also one that is void, until another takes its place */
  readonly #logs = new LRUCache<number, IntentLog>({
    max: MAX_LOGS,
    dispose: (log, _inode, reason) => {
      if (reason === 'evict') void this.#end(log);
    },
  });
  /** inode → how often it was synced */
  readonly #syncs = new LRUCache<number, number>({ max: MAX_SYNCED });

  constructor(options: IntentLogsOptions) {
    this.#options = options;
  }

  /** Whether everything of the inode that was committed here is on stable storage. */
  covers(inode: number): boolean {
    const log = this.#usable(inode);
    return log !== undefined && log.committed === log.taken;
  }

  /**
   * The intent of what is about to be stored, if it can be left as one.
   * @param extents where it belongs in the file; sorted
   */
  take(
    inode: number,
    extents: readonly { readonly offset: number; readonly length: number }[],
    times: { readonly mtime: Timespec; readonly ctime: Timespec },
  ): TakenIntent | undefined {
    const log = this.#usable(inode);
    if (!log || extents.length > MAX_INTENT_EXTENTS || log.taken - log.done >= MAX_OUTSTANDING)
      return undefined;
    log.taken += 1;
    const places = extents.map(({ offset, length }) => ({ offset, length }));
    const change = IntendedChange.encode({ inode, extents: places, ...times });
    return { owner: log, sequence: log.taken, change, mtime: times.mtime };
  }

  /** The intents that a commit of these carries out; undefined where not each one is on its nodes, the next, and as it was taken. */
  carriedOut(stored: readonly StoredIntent[]): CarriedOut | undefined {
    const owner = stored[0]?.intent?.owner;
    if (!owner || this.#usable(owner.inode) !== owner) return undefined;
    for (const [index, { intent, chunk, mtime }] of stored.entries()) {
      const isNext = intent?.owner === owner && intent.sequence === owner.committed + 1 + index;
      if (!isNext || !chunk.hasIntent || intent.mtime !== mtime) return undefined;
    }
    return { log: owner.number, first: owner.committed + 1, last: owner.committed + stored.length };
  }

  /** A commit that carries these out was made ahead of the server; the file has these attributes. */
  committed({ last }: CarriedOut, { inode, version, ctime }: Attributes): void {
    const log = this.#logs.get(inode);
    if (!log) return;
    log.committed = last;
    log.version = version;
    log.ctime = ctime;
  }

  /** The server has committed them. */
  answered(inode: number, { log: number, last }: CarriedOut): void {
    const log = this.#logs.get(inode);
    if (log?.number !== number) return;
    log.answered = Math.max(log.answered, last);
    if (log.answered - log.done >= SYNC_AT && !log.isSyncing) void this.#sync(log);
  }

  /** The inode is changed in another way, or something of it is not stored. */
  void(inode: number): void {
    const log = this.#logs.get(inode);
    if (log) log.isVoid = true;
  }

  /** The inode is synced in the usual way. Returns the log to ask the server for, if it is worth one. */
  want(inode: number, goal: number): WantedLog | undefined {
    if (goal < MIN_INTENT_COPIES || !this.#options.held.has(inode)) return undefined;
    const syncs = (this.#syncs.get(inode) ?? 0) + 1;
    this.#syncs.set(inode, syncs);
    if (syncs < (this.#options.syncsBefore ?? SYNCS_BEFORE)) return undefined;
    const before = this.#logs.get(inode);
    if (!before) return {};
    // Of a file that is changed in other ways between two syncs most logs are for nothing.
    if (before.committed < FEW_INTENTS) this.#syncs.set(inode, -SYNCS_SPARED);
    return { before: { log: before.number, last: before.committed } };
  }

  /** Taken before the server is asked. */
  ticket(): OpeningTicket {
    return { held: this.#options.held.ticket(), greetings: this.#options.greetings() };
  }

  /** The server has opened a log; the file has these attributes. */
  opened(opened: OpenedLog, attributes: Attributes, ticket: OpeningTicket): void {
    this.#logs.set(attributes.inode, new IntentLog(attributes.inode, opened, attributes, ticket));
  }

  /** Everything of the inode is on stable storage that was committed up to these attributes. */
  synced(attributes: Attributes): void {
    const log = this.#logs.get(attributes.inode);
    if (!log || log.isVoid) return;
    if (log.isAt(attributes)) log.isInUse = true;
  }

  /** The inode's log, if it is in use. */
  #usable(inode: number): IntentLog | undefined {
    const log = this.#logs.get(inode);
    if (!log?.isInUse || log.isVoid) return undefined;
    const { held, greetings, attributes } = this.#options;
    const isMine =
      held.has(inode) && held.mayGive(log.ticket.held, inode) && log.ticket.greetings === greetings();
    if (!isMine) {
      log.isVoid = true;
      return undefined;
    }
    const known = attributes(inode);
    // Forgotten for a moment.
    if (!known) return undefined;
    if (log.isAt(known)) return log;
    log.isVoid = true;
    return undefined;
  }

  /** Never rejects. */
  async #sync(log: IntentLog): Promise<void> {
    log.isSyncing = true;
    const upTo = log.answered;
    try {
      await this.#options.sync();
      log.done = Math.max(log.done, upTo);
    } catch (error) {
      this.#options.log.debug(
        { inode: log.inode, reason: toDfsError(error).message },
        'the server did not sync',
      );
    } finally {
      log.isSyncing = false;
    }
  }

  /** Never rejects: a log that does not end is replayed when somebody else wants the file. */
  async #end(log: IntentLog): Promise<void> {
    log.isVoid = true;
    this.#syncs.delete(log.inode);
    try {
      await this.#options.end(log);
    } catch (error) {
      this.#options.log.debug({ inode: log.inode, reason: toDfsError(error).message }, 'a log did not end');
    }
  }
}
