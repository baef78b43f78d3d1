/**
 * Keeps copies of the metadata database on the data nodes while it is used (docs/decisions/01: the metadata is the
 * only moment of truth, so it must not have only one disk).
 *
 *     a generation:  part ─► part ─► … ─► changes ─► changes ─► …
 *                    (all pages, of different moments)  │ complete, of one moment; one each interval in which there
 *                                                       │ were commits
 *
 * The server sends the pages that have changed. A new generation begins when the changes have grown to a share of the
 * copy, when a file of it is lost on all nodes, and after a restart, since the list of changed pages is lost then. A
 * node that was away gets missing files from another one.
 */
import { rm } from 'node:fs/promises';
import type { Clock, Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { BackupFile, BackupStatus } from '../../protocol/backup-commands.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import type { NodeTable } from '../node-table.js';
import type { BackupPlan, BackupSource, StoreRoom, WrittenBackup } from '../store/store.js';
import type { NodeConnection } from '../node-orders.js';
import { NodeCopies } from './node-copies.js';

export interface BackupWorkOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly cluster: string;
  readonly nodes: NodeTable;
  readonly source: BackupSource;
  /** Of the disk on which both the database and `spoolPath` are. */
  readonly room: StoreRoom;
  readonly connectionOf: (node: number) => NodeConnection | undefined;
  /** See ServerState. */
  readonly steadyMs: () => number;
  /** How often a backup is made while there are changes; 0 for never. */
  readonly intervalMs: number;
  /** Where a file is kept until the data nodes have it. */
  readonly spoolPath: string;
}

/** How often is looked whether there is something to do. */
const LOOK_MS = 500;
/** Pages copied at once: 64 MiB of 4 KiB each. */
const PART_PAGES = 16_384;
const PAGE_BYTES = 4096;
/** A part takes at most this share of what is free. */
const SPOOL_SHARE = 8;
/** A new copy begins when the changes have more bytes than this share of it, or came in so many files. */
const MAX_CHANGED_SHARE = 0.5;
const MAX_CHANGES = 512;
/** A warning is logged when the newest backup is older than so many intervals and something has changed. */
const OLD_INTERVALS = 5;
/** A transaction is committed so long after its time at the latest. */
const COMMIT_MS = 1000;

interface Copy {
  readonly generation: number;
  readonly files: BackupFile[];
  partBytes: number;
  changeBytes: number;
}

export class BackupWork {
  readonly #options: BackupWorkOptions;
  /** node → what is there */
  readonly #nodes = new Map<number, NodeCopies>();
  /** The generation that is continued; undefined when a new one has to begin. */
  #copy: Copy | undefined;
  /** The newest complete backup: its files, and when it was made. */
  #newest:
    | {
        readonly files: readonly BackupFile[];
        readonly madeMs: number;
        readonly steadyMs: number;
        readonly commits: number;
      }
    | undefined;
  #problem = '';
  /** Monotonic ms of the start, of the newest backup, and at which the next is due. */
  #startedMs = 0;
  #newestMs: number | undefined;
  #dueMs = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  /** The round under way; never rejects. */
  #round: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: BackupWorkOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#options.intervalMs === 0) return;
    this.#startedMs = this.#options.clock.monotonicMs();
    this.#schedule();
  }

  /** Ends after what is under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  /**
   * What was dereferenced before this moment (of `steadyMs`) is not referred to by the newest backup either, and may go:
   * otherwise a database that is rebuilt from it would name chunks that are gone. Backups that fail hold nothing back
   * for longer than the intervals after which they are called old.
   */
  collectableBeforeMs(nowMs: number): number {
    const { intervalMs } = this.#options;
    if (intervalMs === 0) return nowMs;
    return Math.max((this.#newest?.steadyMs ?? 0) - COMMIT_MS, nowMs - OLD_INTERVALS * intervalMs);
  }

  /** How the backups are. */
  status(): BackupStatus {
    const { intervalMs, clock } = this.#options;
    const files = this.#newest?.files ?? [];
    const live = this.#liveNodes();
    return {
      intervalMs,
      generation: files[0]?.generation ?? 0,
      newestMs: this.#newest?.madeMs ?? 0,
      ageMs: this.#newestMs === undefined ? -1 : Math.round(clock.monotonicMs() - this.#newestMs),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      files: files.length,
      nodes: files.length === 0 ? [] : live.filter(node => this.#holdsAll(node, files)),
      liveNodes: live.length,
      hasChanges: this.#hasChanges,
      problem: this.#problem,
    };
  }

  /** Makes a backup now. EINVAL when backups are off; else see `status`. */
  async runNow(): Promise<BackupStatus> {
    if (this.#options.intervalMs === 0)
      throw new DfsError('EINVAL', 'backups are off; start meta-data with --backup-interval');
    await this.#round;
    this.#begin();
    await this.#round;
    return this.status();
  }

  get #hasChanges(): boolean {
    return this.#newest?.commits !== this.#options.source.commits;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const look = (): void => {
      if (this.#isDue()) this.#begin();
      this.#warnIfOld();
      this.#schedule();
    };
    this.#timer = this.#options.clock.setTimer(LOOK_MS, look, true);
  }

  #isDue(): boolean {
    if (this.#round !== undefined || this.#liveNodes().length === 0) return false;
    // After a start the first backup waits until the nodes that live have had the time to say so.
    const nowMs = this.#options.clock.monotonicMs();
    return nowMs >= this.#dueMs && (this.#newest !== undefined || !this.#options.nodes.isWaiting(nowMs));
  }

  #begin(): void {
    if (this.#round !== undefined || this.#isClosed) return;
    this.#dueMs = this.#options.clock.monotonicMs() + this.#options.intervalMs;
    this.#round = this.#run().finally(() => (this.#round = undefined));
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      const targets = await this.#targets();
      if (targets.length === 0) throw new DfsError('EHOSTUNREACH', 'no data node is there to keep a backup');
      await this.#fillUp(targets);
      if (!this.#hasChanges && this.#copy) return;
      const madeOf = this.#options.source.commits;
      if (!this.#copy || isGrown(this.#copy)) this.#copy = await this.#newCopy(targets);
      const { files } = this.#copy;
      const madeMs = wallMs(this.#options.clock);
      const steadyMs = this.#options.steadyMs();
      const file = await this.#add(
        this.#copy,
        targets,
        async plan => await this.#options.source.copyChanges(plan),
      );
      this.#copy.changeBytes += file.bytes;
      for (const each of this.#nodes.values()) each.forgetBefore(file.generation);
      this.#newest = { files: [...files], madeMs, steadyMs, commits: madeOf };
      this.#newestMs = this.#options.clock.monotonicMs();
      this.#problem = '';
      this.#options.log.debug(
        { generation: file.generation, file: file.file, bytes: file.bytes },
        'backed up',
      );
    } catch (error) {
      // What was to be copied may be forgotten by now.
      this.#copy = undefined;
      const { message } = toDfsError(error);
      if (this.#isClosed) return;
      if (message !== this.#problem) this.#options.log.warn({ reason: message }, 'no backup could be made');
      this.#problem = message;
    } finally {
      await rm(this.#options.spoolPath, { force: true }).catch(() => undefined);
    }
  }

  #liveNodes(): number[] {
    const { nodes, clock } = this.#options;
    return nodes.live(clock.monotonicMs()).map(({ record }) => record.node);
  }

  /** The live nodes, each asked what it has. */
  async #targets(): Promise<NodeCopies[]> {
    const targets: NodeCopies[] = [];
    for (const node of this.#liveNodes()) {
      const connection = this.#options.connectionOf(node);
      if (!connection || connection.isClosed) continue;
      const known = this.#nodes.get(node);
      if (known?.connection === connection) {
        targets.push(known);
        continue;
      }
      const copies = new NodeCopies(node, connection);
      try {
        await copies.load();
        this.#nodes.set(node, copies);
        targets.push(copies);
      } catch (error) {
        this.#noteFailure(node, error);
      }
    }
    return targets;
  }

  /** Gives nodes that were away what they lack of the current generation. */
  async #fillUp(targets: readonly NodeCopies[]): Promise<void> {
    for (const file of this.#copy?.files ?? []) {
      const holder = targets.find(each => each.has(file));
      if (!holder) {
        this.#options.log.info(
          { file: file.file },
          'a part of the backup is on no live node; beginning a new one',
        );
        this.#copy = undefined;
        return;
      }
      await this.#each(
        targets.filter(each => !each.has(file)),
        async target => await target.sendFrom(file, holder),
      );
    }
  }

  async #newCopy(targets: readonly NodeCopies[]): Promise<Copy> {
    const nowMs = wallMs(this.#options.clock);
    const highest = [...this.#nodes.values()].map(each => each.highestGeneration);
    const generation = Math.max(
      nowMs,
      ...highest.map(each => each + 1),
      (this.#newest?.files[0]?.generation ?? 0) + 1,
    );
    const copy: Copy = { generation, files: [], partBytes: 0, changeBytes: 0 };
    const { source, room } = this.#options;
    const pages = await source.beginCopy();
    for (let from = 1; from <= pages;) {
      const first = from;
      // A file that waits to be sent takes little of what the database may still grow.
      const count = Math.max(1, Math.min(PART_PAGES, Math.floor(room.freeBytes / SPOOL_SHARE / PAGE_BYTES)));
      const file = await this.#add(copy, targets, async plan => await source.copyPages(plan, first, count));
      from += count;
      copy.partBytes += file.bytes;
    }
    return copy;
  }

  /** Writes the next file of a copy and sends it to everybody. */
  async #add(
    copy: Copy,
    targets: readonly NodeCopies[],
    write: (plan: BackupPlan) => Promise<WrittenBackup>,
  ): Promise<BackupFile> {
    if (this.#isClosed) throw new DfsError('EINTR', 'the metadata server shuts down');
    const { cluster, clock, room, spoolPath } = this.#options;
    if (room.isShort) throw new DfsError('ENOSPC', 'the disk of the metadata database has no room for it');
    const { generation } = copy;
    const file = copy.files.length;
    const previous = copy.files.at(-1)?.sha256 ?? '';
    const madeMs = wallMs(clock);
    const written = await write({ path: spoolPath, cluster, generation, file, previous, madeMs });
    const added: BackupFile = { generation, file, ...written };
    copy.files.push(added);
    // A node that lacks an earlier file of the chain gets all of them with the next round.
    await this.#each(targets, async target => await target.send(added, spoolPath));
    if (!targets.some(each => this.#holdsAll(each.node, copy.files)))
      throw new DfsError('EIO', 'no data node has taken the backup; see the log');
    return added;
  }

  async #each(targets: readonly NodeCopies[], work: (target: NodeCopies) => Promise<void>): Promise<void> {
    await Promise.all(
      targets.map(async target => {
        try {
          await work(target);
        } catch (error) {
          this.#noteFailure(target.node, error);
        }
      }),
    );
  }

  #noteFailure(node: number, error: unknown): void {
    this.#options.log.warn(
      { node, reason: toDfsError(error).message },
      'a data node did not take the backup',
    );
  }

  #holdsAll(node: number, files: readonly BackupFile[]): boolean {
    const copies = this.#nodes.get(node);
    return copies !== undefined && files.every(file => copies.has(file));
  }

  #warnIfOld(): void {
    const { clock, intervalMs, log } = this.#options;
    const nowMs = clock.monotonicMs();
    const ageMs = nowMs - (this.#newestMs ?? this.#startedMs);
    if (!this.#hasChanges || ageMs < OLD_INTERVALS * intervalMs) return;
    if (nowMs - this.#warnedMs < OLD_INTERVALS * intervalMs) return;
    this.#warnedMs = nowMs;
    log.warn(
      { ageSeconds: Math.round(ageMs / 1000), reason: this.#problem },
      'the newest backup of the metadata is old; see dfs backup status',
    );
  }
}

function isGrown({ files, partBytes, changeBytes }: Copy): boolean {
  return changeBytes > partBytes * MAX_CHANGED_SHARE || files.length > MAX_CHANGES + partBytes / (1 << 26);
}

function wallMs(clock: Clock): number {
  const { sec, nsec } = clock.now();
  return sec * 1000 + Math.floor(nsec / 1_000_000);
}
