/** The segment files of one node: their names, sizes and open descriptors. */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../platform/disk.js';
import type { Logger } from '../platform/log.js';

/** The directory of segments in the node's data directory. */
export const SEGMENTS_DIRECTORY = 'segments';
const NAME = /^(\d{8,10})\.seg$/;
/** Descriptors kept open; a node with 1 TB has 4000 segments, and a process may open few files. */
const MAX_OPEN = 128;

/** The name of a segment's file in the directory of segments. */
export function segmentFileName(segment: number): string {
  return `${String(segment).padStart(8, '0')}.seg`;
}

interface OpenSegment {
  readonly file: Promise<DiskFile>;
  users: number;
}

export class SegmentFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #log: Logger;
  /** segment number → bytes that hold records */
  readonly #sizes = new Map<number, number>();
  /** segment number → its descriptor, least recently used first */
  readonly #open = new Map<number, OpenSegment>();
  /** Segments that are being removed. */
  readonly #leaving = new Set<number>();
  #totalBytes = 0;

  constructor(disk: Disk, directory: string, log: Logger) {
    this.#disk = disk;
    this.#directory = directory;
    this.#log = log;
  }

  /** Makes the directory if there is none and learns what segments it holds. */
  async load(): Promise<void> {
    await this.#disk.makeDirectory(this.#directory);
    for (const segment of await this.#listed()) {
      this.#sizes.set(segment, 0);
      this.setSize(segment, await this.use(segment, async file => await file.size()));
    }
  }

  /** The numbers of all segments, in the order in which they were written. */
  numbers(): number[] {
    return [...this.#sizes.keys()].sort((a, b) => a - b);
  }

  get count(): number {
    return this.#sizes.size;
  }

  /** Bytes of all segments together. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Bytes of a segment, 0 for one that is not there. */
  sizeOf(segment: number): number {
    return this.#sizes.get(segment) ?? 0;
  }

  setSize(segment: number, bytes: number): void {
    this.#totalBytes += bytes - this.sizeOf(segment);
    this.#sizes.set(segment, bytes);
  }

  /** Makes the file of a new segment. */
  async create(segment: number): Promise<void> {
    const file = await this.#disk.open(this.#path(segment), 'create');
    this.#open.set(segment, { file: Promise.resolve(file), users: 0 });
    this.setSize(segment, 0);
  }

  /** Does something with a segment's file, which stays open meanwhile. ENOENT when there is no such segment. */
  async use<Result>(segment: number, action: (file: DiskFile) => Promise<Result>): Promise<Result> {
    const opened = this.#hold(segment);
    try {
      return await action(await this.#opened(segment, opened));
    } finally {
      this.#letGo(segment, opened);
    }
  }

  /** Keeps a segment's file open until `unpin`: an error of writing back is reported only to who had it open. */
  async pin(segment: number): Promise<void> {
    await this.#opened(segment, this.#hold(segment));
  }

  unpin(segment: number): void {
    const opened = this.#open.get(segment);
    if (opened) this.#letGo(segment, opened);
  }

  /** Segments whose file has gone, though nobody here removed it. Rejects as Disk.list(). */
  async missing(): Promise<number[]> {
    const expected = [...this.#sizes.keys()];
    const there = new Set(await this.#listed());
    return expected.filter(
      segment => this.#sizes.has(segment) && !this.#leaving.has(segment) && !there.has(segment),
    );
  }

  /** Removes a segment for good. Reads under way still succeed. */
  async remove(segment: number): Promise<void> {
    this.#leaving.add(segment);
    try {
      await this.#disk.unlink(this.#path(segment));
      await this.syncNames();
      this.setSize(segment, 0);
      this.#sizes.delete(segment);
    } finally {
      this.#leaving.delete(segment);
    }
    const opened = this.#open.get(segment);
    if (opened && opened.users === 0) await this.#closeOne(segment, opened);
  }

  /** Segments that were created or removed are on stable storage as such. */
  async syncNames(): Promise<void> {
    await this.#disk.syncDirectory(this.#directory);
  }

  /** Closes every file. May be called twice. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#open].map(async ([segment, opened]) => await this.#closeOne(segment, opened)),
    );
  }

  /** The segments whose files are in the directory. */
  async #listed(): Promise<number[]> {
    const names = await this.#disk.list(this.#directory);
    return names.flatMap(name => {
      const digits = NAME.exec(name)?.[1];
      return digits === undefined ? [] : [Number(digits)];
    });
  }

  #path(segment: number): string {
    return join(this.#directory, segmentFileName(segment));
  }

  #hold(segment: number): OpenSegment {
    let opened = this.#open.get(segment);
    if (opened) {
      this.#open.delete(segment);
    } else {
      opened = { file: this.#disk.open(this.#path(segment), 'existing'), users: 0 };
    }
    this.#open.set(segment, opened);
    opened.users += 1;
    return opened;
  }

  /** The descriptor; one that could not be had is forgotten, so that the next who wants it tries again. */
  async #opened(segment: number, opened: OpenSegment): Promise<DiskFile> {
    try {
      return await opened.file;
    } catch (error) {
      if (this.#open.get(segment) === opened) this.#open.delete(segment);
      throw error;
    }
  }

  #letGo(segment: number, opened: OpenSegment): void {
    opened.users -= 1;
    const isOpen = this.#open.get(segment) === opened;
    if (isOpen && opened.users === 0 && !this.#sizes.has(segment)) void this.#closeOne(segment, opened);
    if (this.#open.size > MAX_OPEN) this.#closeIdle();
  }

  #closeIdle(): void {
    for (const [segment, opened] of this.#open) {
      if (this.#open.size <= MAX_OPEN) break;
      if (opened.users === 0) void this.#closeOne(segment, opened);
    }
  }

  /** Never rejects: nothing that was promised depends on closing. */
  async #closeOne(segment: number, opened: OpenSegment): Promise<void> {
    if (this.#open.get(segment) === opened) this.#open.delete(segment);
    try {
      await (await opened.file).close();
    } catch (error) {
      this.#log.warn({ err: error, segment }, 'a segment file could not be closed');
    }
  }
}
