/**
 * The files of one data node on this machine that this client has open. A file that the node has removed still reads as
 * before, and keeps its space on the disk; so it is closed within a second, as is, a little later, what nobody reads.
 */
import { join } from 'node:path';
import type { Clock, Timer } from '../../platform/clock.js';
import type { LocalFile, LocalFiles } from '../../platform/local-files.js';

/** Of a client's descriptors; segments have 256 MiB each unless told otherwise. */
const MAX_OPEN = 64;
const LOOK_INTERVAL_MS = 1000;
const IDLE_MS = 10_000;

interface OpenSegment {
  readonly opening: Promise<LocalFile>;
  /** Once it is open. */
  file: LocalFile | undefined;
  users: number;
  /** Monotonic ms of the last look that found it used. */
  usedMs: number;
  /** Since the last look. */
  isUsed: boolean;
}

export interface LocalSegmentsOptions {
  readonly files: LocalFiles;
  readonly clock: Clock;
  /** What names are relative to. */
  readonly directory: string;
  /** Told the name of a file that the node has removed. */
  readonly onRemoved: (name: string) => void;
}

export class LocalSegments {
  readonly #options: LocalSegmentsOptions;
  /** name → the file, least recently used first */
  readonly #open = new Map<string, OpenSegment>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: LocalSegmentsOptions) {
    this.#options = options;
  }

  /** The bytes if the file is open and they are at hand, good until the next call for any file; never waits. */
  readCached(name: string, length: number, position: number): Buffer | undefined {
    return this.#opened(name)?.preadCached(length, position);
  }

  /** The same into memory of the caller's: whether all of `target` was filled. */
  readCachedInto(name: string, target: Buffer, position: number): boolean {
    return this.#opened(name)?.preadCachedInto(target, position) ?? false;
  }

  /** Does something with a file, which stays open meanwhile. Rejects as LocalFiles.open does. */
  async use<Result>(name: string, action: (file: LocalFile) => Promise<Result>): Promise<Result> {
    const segment = this.#hold(name);
    try {
      segment.file = await segment.opening;
      return await action(segment.file);
    } catch (error) {
      if (!segment.file && this.#open.get(name) === segment) this.#open.delete(name);
      throw error;
    } finally {
      segment.users -= 1;
      // It was let go of while it was read.
      if (segment.users === 0 && this.#open.get(name) !== segment) void closeQuietly(segment);
      if (this.#open.size > MAX_OPEN) this.#closeOldest();
    }
  }

  /** Closes every file, those being read when that is done. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await Promise.all([...this.#open].map(async ([name, segment]) => await this.#letGo(name, segment)));
  }

  #opened(name: string): LocalFile | undefined {
    const segment = this.#open.get(name);
    if (segment) segment.isUsed = true;
    return segment?.file;
  }

  #hold(name: string): OpenSegment {
    if (this.#isClosed)
      throw Object.assign(new Error('the node is not read from any more'), { code: 'EBADF' });
    let segment = this.#open.get(name);
    if (segment) {
      this.#open.delete(name);
    } else {
      const { files, directory, clock } = this.#options;
      const opening = files.open(join(directory, name));
      segment = { opening, file: undefined, users: 0, usedMs: clock.monotonicMs(), isUsed: true };
    }
    this.#open.set(name, segment);
    segment.users += 1;
    segment.isUsed = true;
    this.#watch();
    return segment;
  }

  #closeOldest(): void {
    for (const [name, segment] of this.#open) {
      if (this.#open.size <= MAX_OPEN) break;
      if (segment.users === 0) void this.#letGo(name, segment);
    }
  }

  /** Never rejects. */
  async #letGo(name: string, segment: OpenSegment): Promise<void> {
    if (this.#open.get(name) === segment) this.#open.delete(name);
    if (segment.users === 0) await closeQuietly(segment);
  }

  #watch(): void {
    if (this.#isClosed || this.#open.size === 0) return;
    this.#timer ??= this.#options.clock.setTimer(LOOK_INTERVAL_MS, () => void this.#look(), true);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock, onRemoved } = this.#options;
    const nowMs = clock.monotonicMs();
    await Promise.all(
      [...this.#open].map(async ([name, segment]) => {
        if (segment.isUsed) segment.usedMs = nowMs;
        segment.isUsed = false;
        const isRemoved = segment.file ? await segment.file.isDeleted().catch(() => true) : false;
        if (isRemoved) onRemoved(name);
        if (isRemoved || (segment.users === 0 && nowMs - segment.usedMs > IDLE_MS)) {
          await this.#letGo(name, segment);
        }
      }),
    );
    this.#timer = undefined;
    this.#watch();
  }
}

/** Never rejects: the file was only read. */
async function closeQuietly(segment: OpenSegment): Promise<void> {
  const { file } = segment;
  segment.file = undefined;
  await file?.close().catch(() => undefined);
}
