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
  ExtentTable,
  GrantTable,
  InodeRecord,
  InodeSet,
  InodeTable,
  NodeRecords,
  ReplyTable,
  RetiredTable,
  SessionRecords,
  StoreTransaction,
  SymlinkTable,
  XattrTable,
} from '../store/store.js';
import type { ChangeTrace } from './change-trace.js';

/** Told each inode that is read, itself or one of its names; undefined for a session that caches nothing. */
export type NoteRead = ((inode: number) => void) | undefined;

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
  readonly nodes: NodeRecords;
  readonly counters: CounterTable;
  readonly #tx: StoreTransaction;

  constructor(tx: StoreTransaction, trace: ChangeTrace, noteRead: NoteRead) {
    this.#tx = tx;
    this.inodes = new TracedInodes(tx.inodes, trace, noteRead);
    this.dentries = new TracedDentries(tx.dentries, trace, noteRead);
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
    this.nodes = tx.nodes;
    this.counters = tx.counters;
  }

  get changes(): number {
    return this.#tx.changes;
  }
}

/** The same for a task that pauses: it goes on with a transaction that is traced too. */
export class TracedControl implements TaskControl {
  readonly #control: TaskControl;
  readonly #trace: ChangeTrace;
  readonly #noteRead: NoteRead;

  constructor(control: TaskControl, trace: ChangeTrace, noteRead: NoteRead) {
    this.#control = control;
    this.#trace = trace;
    this.#noteRead = noteRead;
  }

  onRollback(undo: () => void): void {
    this.#control.onRollback(undo);
  }

  requireDurable(): void {
    this.#control.requireDurable();
  }

  async pause(): Promise<StoreTransaction> {
    return new TracedTransaction(await this.#control.pause(), this.#trace, this.#noteRead);
  }
}

class TracedInodes implements InodeTable {
  readonly #table: InodeTable;
  readonly #trace: ChangeTrace;
  readonly #noteRead: NoteRead;

  constructor(table: InodeTable, trace: ChangeTrace, noteRead: NoteRead) {
    this.#table = table;
    this.#trace = trace;
    this.#noteRead = noteRead;
  }

  get(inode: number): Awaitable<InodeRecord | undefined> {
    this.#noteRead?.(inode);
    return this.#table.get(inode);
  }

  insert(record: InodeRecord): Awaitable<void> {
    // Nobody else can know it yet, but whoever creates it will keep what it is told.
    this.#noteRead?.(record.inode);
    return this.#table.insert(record);
  }

  update(record: InodeRecord): Awaitable<void> {
    this.#trace.inode(record, isDirectory(record.mode));
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
  readonly #noteRead: NoteRead;

  constructor(table: DentryTable, trace: ChangeTrace, noteRead: NoteRead) {
    this.#table = table;
    this.#trace = trace;
    this.#noteRead = noteRead;
  }

  get(parent: number, name: Uint8Array): Awaitable<InodeRecord | undefined> {
    const noteRead = this.#noteRead;
    const found = this.#table.get(parent, name);
    if (!noteRead) return found;
    // A name that is not there is kept as well, so the directory counts in any case.
    noteRead(parent);
    if (found instanceof Promise) return this.#noteLater(found, noteRead);
    if (found) noteRead(found.inode);
    return found;
  }

  after(parent: number, after: Uint8Array, limit: number): Awaitable<DirectoryEntryRecord[]> {
    const noteRead = this.#noteRead;
    const page = this.#table.after(parent, after, limit);
    if (!noteRead) return page;
    noteRead(parent);
    if (page instanceof Promise) return this.#notePageLater(page, noteRead);
    for (const { inode } of page) noteRead(inode.inode);
    return page;
  }

  isEmpty(parent: number): Awaitable<boolean> {
    return this.#table.isEmpty(parent);
  }

  insert(parent: number, name: Uint8Array, inode: number): Awaitable<void> {
    this.#trace.name(parent, name);
    return this.#table.insert(parent, name, inode);
  }

  update(parent: number, name: Uint8Array, inode: number): Awaitable<void> {
    this.#trace.name(parent, name);
    return this.#table.update(parent, name, inode);
  }

  delete(parent: number, name: Uint8Array): Awaitable<void> {
    this.#trace.name(parent, name);
    return this.#table.delete(parent, name);
  }

  async #noteLater(
    found: Promise<InodeRecord | undefined>,
    noteRead: (inode: number) => void,
  ): Promise<InodeRecord | undefined> {
    const record = await found;
    if (record) noteRead(record.inode);
    return record;
  }

  async #notePageLater(
    page: Promise<DirectoryEntryRecord[]>,
    noteRead: (inode: number) => void,
  ): Promise<DirectoryEntryRecord[]> {
    const entries = await page;
    for (const { inode } of entries) noteRead(inode.inode);
    return entries;
  }
}
