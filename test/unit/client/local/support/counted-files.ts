/** The machine's own files in a directory of the test's, with every opening and closing counted, and some made to fail. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { nodeLocalFiles, type LocalFile, type LocalFiles } from '../../../../../src/platform/local-files.js';

export class CountedFiles implements LocalFiles {
  readonly directory: string;
  /** Openings that are answered, well or ill. */
  tried = 0;
  opened = 0;
  closed = 0;
  /** Times that a read went to the disk by a thread. */
  preads = 0;
  /** The same past the page cache. */
  directReads = 0;
  /** Whether the file system takes reads past the page cache. */
  isDirectKnown = true;
  /** Times that somebody has found out whether a file was removed. */
  looks = 0;
  prefetched: (readonly [position: number, length: number])[] = [];
  /** Whether the page cache has what is read. */
  isCached = true;
  /** Whether it has something of what is read, but not all. */
  isPartlyCached = false;
  /** What a read by a thread waits for. */
  beforePread: () => Promise<void> = async () => undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async inDirectory(t: Test): Promise<CountedFiles> {
    const directory = await mkdtemp(join(tmpdir(), 'dfs-local-'));
    t.teardown(async () => await rm(directory, { recursive: true, force: true }));
    await mkdir(join(directory, 'segments'));
    return new CountedFiles(directory);
  }

  get areOpen(): number {
    return this.opened - this.closed;
  }

  async write(name: string, content: string | Buffer): Promise<void> {
    await writeFile(join(this.directory, name), content);
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.directory, name));
  }

  async open(path: string): Promise<LocalFile> {
    const file = await nodeLocalFiles.open(path).finally(() => (this.tried += 1));
    this.opened += 1;
    return {
      preadCached: (length, position) => (this.isCached ? file.preadCached(length, position) : undefined),
      preadCachedInto: (target, position) => this.isCached && file.preadCachedInto(target, position),
      isAbsent: () => !this.isCached && !this.isPartlyCached,
      prefetch: async (position, length) => {
        this.prefetched.push([position, length]);
        await file.prefetch(position, length);
      },
      pread: async (target, position) => {
        this.preads += 1;
        await this.beforePread();
        return await file.pread(target, position);
      },
      preadDirect: async (memory, length, position) => {
        this.directReads += 1;
        await this.beforePread();
        return this.isDirectKnown ? await file.preadDirect(memory, length, position) : undefined;
      },
      isDeleted: async () => {
        const isDeleted = await file.isDeleted();
        this.looks += 1;
        return isDeleted;
      },
      close: async () => {
        this.closed += 1;
        await file.close();
      },
    };
  }
}
