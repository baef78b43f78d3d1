/**
 * A transaction that notes what a request reads and what it changes. What a reply says depends on nothing but what was
 * read, so a session that keeps the reply has a lease on exactly that; no operation needs to know of leases.
 */
import { isDirectory } from '../../protocol/file-mode.js';
import type { TaskControl } from '../group-commit.js';
import type {
  Awaitable,
  ChunkTable,
  CounterTable,
  DentryTable,
  DirectoryEntryRecord,
  DoomedTable,
  DropTable,
  ExportTable,
  ExtentTable,
  GrantTable,
  InodeRecord,
  InodeSet,
  InodeTable,
  IntentLogTable,
  MemberTable,
  NodeRecords,
  PackedNamesRecord,
  ReplyTable,
  RetiredTable,
  CertificateTable,
  SessionRecords,
  StoreTransaction,
  SymlinkTable,
  TokenTable,
  XattrTable,
} from '../store/store.js';
import type { ChangeTrace } from './change-trace.js';
import type { Reading } from './reading.js';

export class TracedTransaction implements StoreTransaction {
  readonly inodes: InodeTable;
  readonly dentries: DentryTable;
  readonly symlinks: SymlinkTable;
  readonly extents: ExtentTable;
  readonly chunks: ChunkTable;
  readonly doomed: DoomedTable;
  readonly retired: RetiredTable;
  readonly grants: GrantTable;
  readonly drops: DropTable;
  readonly xattrs: XattrTable;
  readonly sessions: SessionRecords;
  readonly replies: ReplyTable;
  readonly orphans: InodeSet;
  readonly garbage: InodeSet;
  readonly fragmented: InodeSet;
  readonly intentLogs: IntentLogTable;
  readonly nodes: NodeRecords;
  readonly counters: CounterTable;
  readonly members: MemberTable;
  readonly tokens: TokenTable;
  readonly exports: ExportTable;
  readonly certificates: CertificateTable;
  readonly #tx: StoreTransaction;

  constructor(tx: StoreTransaction, trace: ChangeTrace, reading: Reading) {
    this.#tx = tx;
    this.inodes = new TracedInodes(tx.inodes, trace, reading);
    this.dentries = new TracedDentries(tx.dentries, trace, reading);
    this.symlinks = tx.symlinks;
    this.extents = tx.extents;
    this.chunks = tx.chunks;
    this.doomed = tx.doomed;
    this.retired = tx.retired;
    this.grants = tx.grants;
    this.drops = tx.drops;
    this.xattrs = tx.xattrs;
    this.sessions = tx.sessions;
    this.replies = tx.replies;
    this.orphans = tx.orphans;
    this.garbage = tx.garbage;
    this.fragmented = tx.fragmented;
    this.intentLogs = tx.intentLogs;
    this.nodes = tx.nodes;
    this.counters = tx.counters;
    this.members = tx.members;
    this.tokens = tx.tokens;
    this.exports = tx.exports;
    this.certificates = tx.certificates;
  }

  get changes(): number {
    return this.#tx.changes;
  }
}

/** The same for a task that pauses: it goes on with a transaction that is traced too. */
export class TracedControl implements TaskControl {
  readonly #control: TaskControl;
  readonly #trace: ChangeTrace;
  readonly #reading: Reading;

  constructor(control: TaskControl, trace: ChangeTrace, reading: Reading) {
    this.#control = control;
    this.#trace = trace;
    this.#reading = reading;
  }

  onRollback(undo: () => void): void {
    this.#control.onRollback(undo);
  }

  requireDurable(): void {
    this.#control.requireDurable();
  }

  async pause(): Promise<StoreTransaction> {
    return new TracedTransaction(await this.#control.pause(), this.#trace, this.#reading);
  }
}

class TracedInodes implements InodeTable {
  readonly #table: InodeTable;
  readonly #trace: ChangeTrace;
  readonly #reading: Reading;

  constructor(table: InodeTable, trace: ChangeTrace, reading: Reading) {
    this.#table = table;
    this.#trace = trace;
    this.#reading = reading;
  }

  get(inode: number): Awaitable<InodeRecord | undefined> {
    this.#reading.read(inode);
    return this.#table.get(inode);
  }

  insert(record: InodeRecord): Awaitable<void> {
    // Nobody else can know it yet, but whoever creates it will keep what it is told.
    this.#reading.make(record.inode);
    return this.#table.insert(record);
  }

  update(record: InodeRecord): Awaitable<void> {
    this.#trace.inode(record, isDirectory(record.mode));
    this.#reading.change(record.inode);
    return this.#table.update(record);
  }

  delete(inode: number): Awaitable<void> {
    this.#trace.gone(inode);
    return this.#table.delete(inode);
  }

  count(): Awaitable<number> {
    return this.#table.count();
  }
}

class TracedDentries implements DentryTable {
  readonly #table: DentryTable;
  readonly #trace: ChangeTrace;
  readonly #reading: Reading;

  constructor(table: DentryTable, trace: ChangeTrace, reading: Reading) {
    this.#table = table;
    this.#trace = trace;
    this.#reading = reading;
  }

  get(parent: number, name: Uint8Array): Awaitable<InodeRecord | undefined> {
    // A name that is not there is kept as well, so the directory counts in any case.
    this.#reading.read(parent);
    const found = this.#table.get(parent, name);
    if (found instanceof Promise) return this.#noteLater(found);
    if (found) this.#reading.read(found.inode);
    return found;
  }

  after(parent: number, after: Uint8Array, limit: number): Awaitable<DirectoryEntryRecord[]> {
    this.#reading.read(parent);
    const page = this.#table.after(parent, after, limit);
    if (page instanceof Promise) return this.#notePageLater(page);
    for (const { inode } of page) this.#reading.read(inode.inode);
    return page;
  }

  /** Names alone: what they lead to is not read, nor may the session cache it. */
  namesAfter(parent: number, after: Uint8Array, limit: number): Awaitable<PackedNamesRecord> {
    this.#reading.read(parent);
    return this.#table.namesAfter(parent, after, limit);
  }

  async directoriesAfter(parent: number, after: Uint8Array, limit: number): Promise<InodeRecord[]> {
    this.#reading.read(parent);
    const directories = await this.#table.directoriesAfter(parent, after, limit);
    for (const { inode } of directories) this.#reading.read(inode);
    return directories;
  }

  isEmpty(parent: number): Awaitable<boolean> {
    this.#reading.read(parent);
    return this.#table.isEmpty(parent);
  }

  /** Notes nothing: no session is told. */
  directoriesOf(inode: number, limit: number): Awaitable<number[]> {
    return this.#table.directoriesOf(inode, limit);
  }

  indexByInode(): Awaitable<void> {
    return this.#table.indexByInode();
  }

  insert(parent: number, name: Uint8Array, inode: number): Awaitable<void> {
    this.#changed(parent, name, inode);
    return this.#table.insert(parent, name, inode);
  }

  update(parent: number, name: Uint8Array, inode: number): Awaitable<void> {
    this.#changed(parent, name, inode);
    return this.#table.update(parent, name, inode);
  }

  delete(parent: number, name: Uint8Array): Awaitable<void> {
    this.#changed(parent, name, 0);
    return this.#table.delete(parent, name);
  }

  #changed(parent: number, name: Uint8Array, inode: number): void {
    this.#trace.name(parent, name, inode);
    this.#reading.change(parent);
  }

  async #noteLater(found: Promise<InodeRecord | undefined>): Promise<InodeRecord | undefined> {
    const record = await found;
    if (record) this.#reading.read(record.inode);
    return record;
  }

  async #notePageLater(page: Promise<DirectoryEntryRecord[]>): Promise<DirectoryEntryRecord[]> {
    const entries = await page;
    for (const { inode } of entries) this.#reading.read(inode.inode);
    return entries;
  }
}
