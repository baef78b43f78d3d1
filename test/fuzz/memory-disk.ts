/** A disk of a few small files in memory, for what is read when a data node starts. */
import { basename } from 'node:path';
import Database from 'better-sqlite3';
import type { Disk, DiskFile } from '../../src/platform/disk.js';
import type { ExclusiveLock } from '../../src/platform/exclusive-lock.js';

const TOTAL_BYTES = 2 ** 40;

export class MemoryDisk implements Disk {
  /** name → bytes; directories count for nothing */
  readonly files = new Map<string, Buffer>();
  /** What `openDatabase` opens next; an empty one when undefined. */
  database: Database.Database | undefined;

  async open(path: string, how: 'existing' | 'create'): Promise<DiskFile> {
    const name = basename(path);
    const { files } = this;
    if (!files.has(name)) {
      if (how === 'existing') throw missing(path);
      files.set(name, Buffer.alloc(0));
    }
    const bytes = (): Buffer => files.get(name) ?? Buffer.alloc(0);
    return {
      pread: async (target, position) => bytes().copy(target, 0, position),
      size: async () => bytes().length,
      truncate: async length => {
        files.set(name, bytes().subarray(0, length));
      },
      writev: async (pieces, position) => {
        files.set(name, Buffer.concat([bytes().subarray(0, position), ...pieces]));
      },
      datasync: async () => undefined,
      close: async () => undefined,
    };
  }

  async list(): Promise<string[]> {
    return [...this.files.keys()];
  }

  async unlink(path: string): Promise<void> {
    if (!this.files.delete(basename(path))) throw missing(path);
  }

  async rename(from: string, to: string): Promise<void> {
    const bytes = this.files.get(basename(from));
    if (!bytes) throw missing(from);
    this.files.delete(basename(from));
    this.files.set(basename(to), bytes);
  }

  openDatabase(): Database.Database {
    const database = this.database ?? new Database(':memory:');
    this.database = undefined;
    return database;
  }

  async space(): Promise<{ totalBytes: number; availableBytes: number }> {
    return { totalBytes: TOTAL_BYTES, availableBytes: TOTAL_BYTES };
  }

  async makeDirectory(): Promise<void> {
    // They are all there.
  }

  async removeDirectory(): Promise<void> {
    // Nothing is in it.
  }

  async syncDirectory(): Promise<void> {
    // There is no power to lose.
  }

  async allocate(): Promise<void> {
    throw new Error('nothing is allocated here');
  }

  lock(): ExclusiveLock {
    return { describe: () => undefined, release: () => undefined };
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
}
