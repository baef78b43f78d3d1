/**
 * The disk of one machine. A process that is killed loses nothing of it. A machine that loses its power keeps what was
 * synced, and of the rest whatever the disk happened to have written: any of the writes, torn at any sector, and the
 * first of the changes to its directories. SQLite databases are in memory, and kept as images of what a crash leaves.
 */
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Disk, DiskFile } from '../../../src/platform/disk.js';
import { LockHeldError, type ExclusiveLock } from '../../../src/platform/exclusive-lock.js';
import type { Life, Scheduler } from './scheduler.js';
import type { SeededRandom } from './seeded-random.js';

const SECTOR_BYTES = 512;
const TOTAL_BYTES = 8 * 2 ** 30;
/** How long a sync takes. */
const MIN_SYNC_MS = 0.2;
const MAX_SYNC_MS = 4;
/** The chance that reading or writing waits for the disk, rather than for the page cache alone. */
const WAIT_CHANCE = 0.1;
const LOG_SUFFIX = '-wal';

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall });
}

/** The content of a file, which grows. */
class Bytes {
  #buffer = Buffer.alloc(4096);
  length = 0;

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (end > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(end, 2 * this.#buffer.length));
      this.#buffer.copy(grown, 0, 0, this.length);
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, position);
    this.length = Math.max(this.length, end);
  }

  read(target: Buffer, position: number): number {
    if (position >= this.length) return 0;
    return this.#buffer.copy(target, 0, position, Math.min(this.length, position + target.length));
  }

  truncate(length: number): void {
    if (length < this.length) this.#buffer.fill(0, length, this.length);
    else if (length > this.length) this.write(Buffer.alloc(length - this.length), this.length);
    this.length = length;
  }

  flip(position: number, bit: number): void {
    const byte = this.#buffer[position];
    if (position < this.length && byte !== undefined) this.#buffer[position] = byte ^ (1 << bit);
  }

  copy(): Bytes {
    const result = new Bytes();
    result.write(this.#buffer.subarray(0, this.length), 0);
    return result;
  }
}

type Change =
  | { readonly is: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly is: 'truncate'; readonly length: number };

class StoredFile {
  current = new Bytes();
  durable = new Bytes();
  /** What was done to `current` and not to `durable`. */
  unsynced: Change[] = [];
  /** How many changes were ever made. */
  changes = 0;

  do(change: Change): void {
    apply(this.current, change);
    this.unsynced.push(change);
    this.changes += 1;
  }

  /** The first `until` changes are on stable storage. */
  sync(until: number): void {
    const count = Math.max(0, until - (this.changes - this.unsynced.length));
    for (const change of this.unsynced.splice(0, count)) apply(this.durable, change);
  }

  losePower(random: SeededRandom): void {
    for (const change of this.unsynced.splice(0)) {
      if (random.isChance(0.5)) continue;
      if (change.is === 'truncate' || random.isChance(0.7)) {
        apply(this.durable, change);
        continue;
      }
      // Torn: some of its sectors were written, in whatever order.
      for (let at = 0; at < change.bytes.length; at += SECTOR_BYTES) {
        if (random.isChance(0.5)) continue;
        this.durable.write(change.bytes.subarray(at, at + SECTOR_BYTES), change.position + at);
      }
    }
    this.current = this.durable.copy();
  }
}

function apply(bytes: Bytes, change: Change): void {
  if (change.is === 'write') bytes.write(change.bytes, change.position);
  else bytes.truncate(change.length);
}

type NameChange =
  | { readonly is: 'link'; readonly path: string; readonly file: StoredFile }
  | { readonly is: 'unlink'; readonly path: string };

interface StoredDatabase {
  open: Database.Database | undefined;
  /** What a process that opens it now finds. */
  image: Buffer | undefined;
  /** What was on stable storage at the last sync of its log. */
  synced: Buffer | undefined;
}

/** A wrong turn that the disk can take. */
export interface DiskFaults {
  /** Every wait is so many times as long. */
  slowness: number;
  isFull: boolean;
  /** The chance that a sync does nothing and says that it did: a planted bug, no fault that DFS has to survive. */
  lyingSyncChance: number;
  /** The chance that a database is found with what was not synced: the system has written it by itself. */
  keptDatabaseChance: number;
}

export class SimulatedDisk {
  readonly faults: DiskFaults = {
    slowness: 1,
    isFull: false,
    lyingSyncChance: 0,
    keptDatabaseChance: 0.5,
  };
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  #names = new Map<string, StoredFile>();
  #durableNames = new Map<string, StoredFile>();
  #nameChanges: NameChange[] = [];
  readonly #directories = new Set<string>();
  readonly #databases = new Map<string, StoredDatabase>();
  readonly #locks = new Map<string, Life>();
  /** Syncs that did nothing. */
  lies = 0;

  constructor(scheduler: Scheduler, random: SeededRandom) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /** The disk as one process sees it, until it is killed. */
  interfaceOf(life: Life): Disk {
    return {
      open: async (path, how) => await this.#open(path, how, life),
      makeDirectory: async path => {
        this.#directories.add(path);
        await this.#wait(life, 0);
      },
      list: async path => {
        await this.#wait(life, 0);
        return this.#list(path);
      },
      unlink: async path => {
        await this.#wait(life, 0);
        this.#unlink(path);
      },
      removeDirectory: async path => {
        await this.#wait(life, 0);
        if (this.#list(path).length > 0) throw systemError('ENOTEMPTY', 'rmdir');
        this.#directories.delete(path);
      },
      rename: async (from, to) => {
        await this.#wait(life, 0);
        const file = this.#names.get(from);
        if (!file) throw systemError('ENOENT', 'rename');
        this.#names.delete(from);
        this.#names.set(to, file);
        this.#nameChanges.push({ is: 'unlink', path: from }, { is: 'link', path: to, file });
      },
      // A journal is written in order: what was done before to other directories is on stable storage as well.
      syncDirectory: async () => {
        const last = this.#nameChanges.at(-1);
        await this.#sync(life);
        const count = last ? this.#nameChanges.indexOf(last) + 1 : 0;
        this.#applyNames(this.#nameChanges.splice(0, count));
      },
      space: async () => {
        await this.#wait(life, 0);
        return { totalBytes: TOTAL_BYTES, availableBytes: this.faults.isFull ? 0 : TOTAL_BYTES / 2 };
      },
      allocate: async () => await this.#wait(life, 0),
      lock: (path, holder) => this.#lock(path, holder, life),
      openDatabase: path => this.#openDatabase(path),
    };
  }

  /** Puts a database there, on stable storage. */
  putDatabase(path: string, image: Buffer): void {
    this.#directories.add(dirname(path));
    this.#databases.set(path, { open: undefined, image, synced: image });
  }

  /** The database as a process that opened it now would find it. */
  databaseImage(path: string): Buffer | undefined {
    const stored = this.#databases.get(path);
    return stored?.open ? stored.open.serialize() : stored?.image;
  }

  /** The process was killed: what the system has of its files stays. */
  processEnded(life: Life): void {
    for (const [path, holder] of this.#locks) if (holder === life) this.#locks.delete(path);
    for (const stored of this.#databases.values()) closeDatabase(stored);
  }

  /** After processEnded(): what was not synced may be gone. */
  losePower(): void {
    const kept = this.#random.integer(0, this.#nameChanges.length + 1);
    this.#applyNames(this.#nameChanges.splice(0).slice(0, kept));
    this.#names = new Map(this.#durableNames);
    for (const file of new Set(this.#names.values())) file.losePower(this.#random);
    for (const [path, stored] of this.#databases) {
      const isKept = this.#random.isChance(this.faults.keptDatabaseChance);
      if (stored.synced) stored.image = stored.synced = isKept ? stored.image : stored.synced;
      else if (!isKept) this.#databases.delete(path);
    }
  }

  /** Turns one bit over of a file whose name ends so, on the disk itself; returns where. */
  flipBit(ending: string): string {
    const files = [...this.#names].filter(([path, file]) => path.endsWith(ending) && file.durable.length > 0);
    if (files.length === 0) return 'nowhere';
    const [path, file] = this.#random.pick(files);
    const position = this.#random.integer(0, file.durable.length);
    const bit = this.#random.integer(0, 8);
    file.durable.flip(position, bit);
    if (file.unsynced.length === 0) file.current.flip(position, bit);
    return `${path} byte ${position}`;
  }

  #applyNames(changes: readonly NameChange[]): void {
    for (const change of changes) {
      if (change.is === 'link') this.#durableNames.set(change.path, change.file);
      else this.#durableNames.delete(change.path);
    }
  }

  /** Never resolves for a process that is gone. */
  async #wait(life: Life, delayMs: number): Promise<void> {
    if (life.isDead) await new Promise<void>(() => undefined);
    const { slowness } = this.faults;
    const isShort = delayMs === 0;
    if (isShort && !this.#random.isChance(slowness > 1 ? 0.5 : WAIT_CHANCE)) return;
    const ms = (isShort ? this.#random.between(0.01, 0.3) : delayMs) * slowness;
    await new Promise<void>(resolve => {
      this.#scheduler.after(ms, 'disk', life, resolve);
    });
  }

  async #sync(life: Life): Promise<void> {
    await this.#wait(life, this.#random.between(MIN_SYNC_MS, MAX_SYNC_MS));
  }

  async #open(path: string, how: 'existing' | 'create', life: Life): Promise<DiskFile> {
    await this.#wait(life, 0);
    const database = this.#databaseOfLog(path);
    if (database) return this.#logFile(database, life);
    let file = this.#names.get(path);
    if (!file) {
      if (how === 'existing') throw systemError('ENOENT', 'open');
      file = new StoredFile();
      this.#names.set(path, file);
      this.#nameChanges.push({ is: 'link', path, file });
    }
    return this.#handle(file, life);
  }

  #handle(file: StoredFile, life: Life): DiskFile {
    return {
      writev: async (pieces, position) => {
        const bytes = Buffer.concat(pieces);
        const isFull = this.faults.isFull;
        // A full disk takes a part.
        const taken = isFull ? bytes.subarray(0, this.#random.integer(0, bytes.length)) : bytes;
        file.do({ is: 'write', position, bytes: taken });
        await this.#wait(life, 0);
        if (isFull) throw systemError('ENOSPC', 'write');
      },
      pread: async (target, position) => {
        await this.#wait(life, 0);
        return file.current.read(target, position);
      },
      datasync: async () => {
        const until = file.changes;
        await this.#sync(life);
        if (!this.#isLie()) file.sync(until);
      },
      truncate: async length => {
        file.do({ is: 'truncate', length });
        await this.#wait(life, 0);
      },
      size: async () => {
        await this.#wait(life, 0);
        return file.current.length;
      },
      close: async () => undefined,
    };
  }

  #isLie(): boolean {
    const { lyingSyncChance } = this.faults;
    if (lyingSyncChance === 0 || !this.#random.isChance(lyingSyncChance)) return false;
    this.lies += 1;
    return true;
  }

  #list(directory: string): string[] {
    if (!this.#directories.has(directory)) throw systemError('ENOENT', 'scandir');
    const prefix = `${directory}/`;
    const names = new Set<string>();
    for (const path of [...this.#names.keys(), ...this.#databases.keys(), ...this.#directories]) {
      if (!path.startsWith(prefix)) continue;
      const [name] = path.slice(prefix.length).split('/');
      if (name) names.add(name);
    }
    return [...names];
  }

  #unlink(path: string): void {
    const stored = this.#databases.get(path);
    if (stored) {
      this.#databases.delete(path);
      return;
    }
    if (!this.#names.delete(path)) throw systemError('ENOENT', 'unlink');
    this.#nameChanges.push({ is: 'unlink', path });
  }

  #lock(path: string, holder: string, life: Life): ExclusiveLock {
    if (this.#locks.has(path)) throw new LockHeldError(path, holder);
    this.#locks.set(path, life);
    return { describe: () => undefined, release: () => this.#locks.delete(path) };
  }

  #openDatabase(path: string): Database.Database {
    let stored = this.#databases.get(path);
    if (!stored)
      this.#databases.set(path, (stored = { open: undefined, image: undefined, synced: undefined }));
    const database = stored.image ? new Database(stored.image) : new Database(':memory:');
    stored.open = database;
    const close = database.close.bind(database);
    database.close = () => {
      if (stored.open === database) {
        stored.open = undefined;
        stored.image = database.serialize();
        if (stored.synced) stored.synced = stored.image;
      }
      return close();
    };
    return database;
  }

  #databaseOfLog(path: string): StoredDatabase | undefined {
    return path.endsWith(LOG_SUFFIX) ? this.#databases.get(path.slice(0, -LOG_SUFFIX.length)) : undefined;
  }

  /** The write-ahead log of a database; all that anybody but SQLite does with it is to sync it. */
  #logFile(stored: StoredDatabase, life: Life): DiskFile {
    const refuse = async (): Promise<never> => {
      throw systemError('EINVAL', 'a log is written by SQLite alone');
    };
    return {
      writev: refuse,
      pread: refuse,
      truncate: refuse,
      size: refuse,
      datasync: async () => {
        // An image is taken between transactions.
        if (stored.open?.inTransaction === true) await this.#wait(life, 0.01);
        if (!stored.open) return;
        const image = stored.open.serialize();
        await this.#sync(life);
        if (!this.#isLie()) stored.synced = image;
      },
      close: async () => undefined,
    };
  }
}

function closeDatabase(stored: StoredDatabase): void {
  const { open } = stored;
  stored.open = undefined;
  if (!open) return;
  if (open.inTransaction) open.exec('ROLLBACK');
  stored.image = open.serialize();
  open.close();
}
