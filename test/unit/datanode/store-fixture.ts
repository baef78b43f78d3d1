/** What the tests of the chunk store share: chunks to store, a store in a directory of its own, a disk that fails. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ChunkStore, type NewChunk } from '../../../src/datanode/chunk-store.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import { nodeDisk, type Disk, type DiskFile } from '../../../src/platform/disk.js';
import { createLogger } from '../../../src/platform/log.js';
import { computeChecksums } from '../../../src/protocol/checksum.js';

export const silent = createLogger('test', 'silent');
export const NODE_ID = '0123456789abcdef';

export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-datanode-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  return directory;
}

export interface StoreSettings {
  readonly disk?: Disk;
  readonly clock?: Clock;
  readonly segmentBytes?: number;
  readonly tableBytes?: number;
  readonly maxReadingBytes?: number;
  readonly minAlignedBytes?: number;
}

/** An open store, closed at the end of the test. */
export async function openStore(
  t: Test,
  directory: string,
  settings: StoreSettings = {},
): Promise<ChunkStore> {
  const store = new ChunkStore({
    disk: settings.disk ?? nodeDisk,
    clock: settings.clock ?? systemClock,
    log: silent,
    directory,
    node: NODE_ID,
    segmentBytes: settings.segmentBytes,
    tableBytes: settings.tableBytes,
    maxReadingBytes: settings.maxReadingBytes,
    minAlignedBytes: settings.minAlignedBytes,
  });
  t.teardown(async () => await store.close());
  await store.open();
  return store;
}

/** A chunk of `length` random bytes, in two pieces as the network may deliver it. */
export function randomChunk(chunk: number, length: number): NewChunk & { readonly bytes: Buffer } {
  const bytes = randomBytes(length);
  const cut = Math.floor(length / 3);
  return {
    chunk,
    inode: chunk + 1,
    fileOffset: 0,
    length,
    table: computeChecksums([bytes]),
    payload: [bytes.subarray(0, cut), bytes.subarray(cut)],
    bytes,
  };
}

/** Whether the store gives back exactly what was stored. */
export async function holds(store: ChunkStore, expected: { chunk: number; bytes: Buffer }): Promise<boolean> {
  const { bytes } = await store.read(expected.chunk, 0, expected.bytes.length);
  return bytes.equals(expected.bytes);
}

/** The real disk, on which things can be made to fail. */
export class FailingDisk implements Disk {
  /** Bytes that may still be written before ENOSPC. */
  roomBytes = Number.MAX_SAFE_INTEGER;
  /** What statfs tells instead of the truth. */
  availableBytes: number | undefined;
  datasyncFails = false;
  writesFail = false;
  /** What every fdatasync waits for. */
  gate: Promise<void> = Promise.resolve();
  /** What a read waits for, once it has been done. */
  afterRead: (path: string, bytes: number) => Promise<void> = async () => undefined;
  /** Called when an fdatasync has been done. */
  afterDatasync: () => void = () => undefined;
  datasyncs = 0;
  writes = 0;
  readonly unlink = nodeDisk.unlink;
  readonly removeDirectory = nodeDisk.removeDirectory;
  readonly rename = nodeDisk.rename;
  readonly makeDirectory = nodeDisk.makeDirectory;
  readonly list = nodeDisk.list;
  readonly syncDirectory: Disk['syncDirectory'] = nodeDisk.syncDirectory;
  readonly allocate = nodeDisk.allocate;
  readonly lock = nodeDisk.lock;
  readonly openDatabase = nodeDisk.openDatabase;

  async open(path: string, how: 'existing' | 'create'): Promise<DiskFile> {
    const file = await nodeDisk.open(path, how);
    return {
      writev: async (pieces, position) => await this.#write(file, pieces, position),
      datasync: async () => await this.#datasync(file),
      pread: async (target, position) => {
        const count = await file.pread(target, position);
        await this.afterRead(path, target.length);
        return count;
      },
      truncate: async length => await file.truncate(length),
      size: async () => await file.size(),
      close: async () => await file.close(),
    };
  }

  async space(path: string): Promise<{ totalBytes: number; availableBytes: number }> {
    const space = await nodeDisk.space(path);
    return { ...space, availableBytes: this.availableBytes ?? space.availableBytes };
  }

  async #write(file: DiskFile, pieces: readonly Buffer[], position: number): Promise<void> {
    this.writes += 1;
    if (this.writesFail) throw systemError('EIO', 'i/o error, write');
    const all = Buffer.concat(pieces);
    const fitting = all.subarray(0, this.roomBytes);
    await file.writev([fitting], position);
    this.roomBytes -= fitting.length;
    if (fitting.length < all.length) throw systemError('ENOSPC', 'no space left on device, write');
  }

  async #datasync(file: DiskFile): Promise<void> {
    this.datasyncs += 1;
    await this.gate;
    if (this.datasyncFails) throw systemError('EIO', 'i/o error, fdatasync');
    await file.datasync();
    this.afterDatasync();
  }
}

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** The real time, but timers fire only when the test says so. */
export class HeldTimers implements Clock {
  readonly monotonicMs = systemClock.monotonicMs;
  readonly now = systemClock.now;
  readonly atNextTurn = systemClock.atNextTurn;
  #waiting: (() => void)[] = [];
  readonly #minDelayMs: number;

  /** @param minDelayMs timers of at least this delay wait to be fired, shorter ones never fire */
  constructor(minDelayMs: number) {
    this.#minDelayMs = minDelayMs;
  }

  setTimer(delayMs: number, callback: () => void): { cancel(): void } {
    if (delayMs >= this.#minDelayMs) this.#waiting.push(callback);
    return { cancel: () => (this.#waiting = this.#waiting.filter(each => each !== callback)) };
  }

  fire(): number {
    const callbacks = this.#waiting.splice(0);
    for (const callback of callbacks) callback();
    return callbacks.length;
  }
}
