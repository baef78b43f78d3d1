/** The cost of writing and reading a file in small random pieces, and after it has been made whole. */
import { constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { divideCache } from '../../../src/client/caches/cache-sizes.js';
import { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { DEFAULT_CHUNK_BYTES } from '../../../src/protocol/limits.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { get } from '../../../src/protocol/content-commands.js';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_DIRTY_BYTES,
  DEFAULT_READ_AHEAD_BYTES,
  DEFAULT_TIMEOUT_MS,
} from '../../../src/vfs/vfs-options.js';
import { Vfs } from '../../../src/vfs/vfs.js';
import { Cluster } from '../../support/cluster.js';
import { waitUntil } from '../../support/wait-until.js';
import { residentMib } from '../daemons.js';
import { measureInTurns, measureRequests } from './request-cost.js';
import type { ScaleContext } from './scale-context.js';

const PIECE_BYTES = 4096;
const READ_BYTES = 1 << 20;
const TENTHS = 10;
const EXTENTS_PER_PAGE = 1024;
const DEFRAGMENT_MS = 1_200_000;
const NEVER = '--defragment-after=86400';
const SOON = '--defragment-after=1';

const surroundings = {
  network: tcpNetwork,
  clock: systemClock,
  random: systemRandom,
  log: createLogger('scale', 'silent'),
};

export class FragmentCost {
  readonly #context: ScaleContext;
  /** Read anew by the server at each start. */
  readonly #metadataOptions = [NEVER];
  readonly #cluster: Cluster;

  constructor(context: ScaleContext) {
    this.#context = context;
    const directory = join(context.directory, 'fragments');
    this.#cluster = new Cluster(directory, { dataNodes: 1, metadataOptions: this.#metadataOptions });
  }

  async measure(): Promise<void> {
    const { book } = this.#context;
    await mkdir(this.#cluster.directory);
    try {
      await this.#cluster.start();
      const whole = await this.#writeWhole();
      await this.#read(whole, 'written in order');
      const pieces = await this.#writePieces();
      const tenth = await this.#writeTenth();
      await this.#measureGets(tenth, pieces);
      await this.#read(pieces, 'in pieces');
      this.#metadataOptions[0] = SOON;
      await this.#cluster.metadata.restart();
      const startedMs = performance.now();
      const few = (2 * this.#context.sizes.fileBytes) / DEFAULT_CHUNK_BYTES;
      await waitUntil(
        async () => {
          this.#context.signal.throwIfAborted();
          return (await this.#extents(pieces)) <= few;
        },
        { deadlineMs: DEFRAGMENT_MS, what: 'the file is whole again' },
      );
      book.add('made whole again', 'defragmenting', 's', (performance.now() - startedMs) / 1000);
      await this.#read(pieces, 'made whole again');
    } finally {
      await this.#cluster.close();
    }
  }

  async #withFileSystem<Result>(work: (fileSystem: Vfs) => Promise<Result>): Promise<Result> {
    const fileSystem = await Vfs.open({
      ...surroundings,
      keys: this.#cluster.keys,
      role: 'client',
      metadata: this.#cluster.endpoint,
      goal: 1,
      timeoutMs: DEFAULT_TIMEOUT_MS,
      dirtyBytes: DEFAULT_DIRTY_BYTES,
      cacheBytes: DEFAULT_CACHE_BYTES,
      readAheadBytes: DEFAULT_READ_AHEAD_BYTES,
      chunkBytes: DEFAULT_CHUNK_BYTES,
      clientName: 'scale',
    });
    try {
      return await work(fileSystem);
    } finally {
      await fileSystem.close();
    }
  }

  async #withSession<Result>(work: (session: MetadataSession) => Promise<Result>): Promise<Result> {
    const metadata = this.#cluster.endpoint;
    const session = new MetadataSession({
      ...surroundings,
      keys: this.#cluster.keys,
      role: 'client',
      metadata,
      timeoutMs: DEFAULT_TIMEOUT_MS,
      cacheSizes: divideCache(DEFAULT_CACHE_BYTES),
      clientName: 'scale',
    });
    await session.start();
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  }

  async #create(fileSystem: Vfs, name: string): ReturnType<Vfs['create']> {
    const creation = { mode: 0o644, umask: 0, uid: 0, gid: 0 };
    return await fileSystem.create(ROOT_INODE, Buffer.from(name), creation, true, constants.O_RDWR);
  }

  /** Returns the inode. */
  async #writeWhole(): Promise<number> {
    const { sizes, signal } = this.#context;
    return await this.#withFileSystem(async fileSystem => {
      const { handle, attributes } = await this.#create(fileSystem, 'whole');
      const data = systemRandom.bytes(READ_BYTES);
      for (let offset = 0; offset < sizes.fileBytes; offset += READ_BYTES) {
        signal.throwIfAborted();
        await fileSystem.write(handle, offset, data);
      }
      await fileSystem.fsync(handle);
      await fileSystem.release(handle);
      return attributes.inode;
    });
  }

  /** Every piece once, in random order. Returns the inode. */
  async #writePieces(): Promise<number> {
    const { sizes, book, signal } = this.#context;
    const { metadata } = this.#cluster;
    return await this.#withFileSystem(async fileSystem => {
      const { handle, attributes } = await this.#create(fileSystem, 'pieces');
      const order = shuffled(Math.floor(sizes.fileBytes / PIECE_BYTES));
      const data = systemRandom.bytes(PIECE_BYTES);
      for (let tenth = 1; tenth <= TENTHS; tenth += 1) {
        const part = order.subarray(((tenth - 1) * order.length) / TENTHS, (tenth * order.length) / TENTHS);
        const startedMs = performance.now();
        for (const piece of part) {
          signal.throwIfAborted();
          await fileSystem.write(handle, piece * PIECE_BYTES, data);
        }
        await fileSystem.fsync(handle);
        const perPiece = ((performance.now() - startedMs) * 1000) / part.length;
        if (tenth !== 1 && tenth !== TENTHS) continue;
        const when = tenth === 1 ? 'first tenth' : 'last tenth';
        book.add(when, 'writing 4 KiB', 'µs', perPiece, { is: 'flat' });
        book.add(when, 'memory of the metadata server', 'MiB', await residentMib(metadata.pid));
      }
      await fileSystem.release(handle);
      return attributes.inode;
    });
  }

  /** A file as long, in which every tenth piece was written. Returns the inode. */
  async #writeTenth(): Promise<number> {
    const { sizes, signal } = this.#context;
    return await this.#withFileSystem(async fileSystem => {
      const { handle, attributes } = await this.#create(fileSystem, 'tenth');
      const data = systemRandom.bytes(PIECE_BYTES);
      for (const index of shuffled(Math.floor(sizes.fileBytes / PIECE_BYTES / TENTHS))) {
        signal.throwIfAborted();
        await fileSystem.write(handle, index * TENTHS * PIECE_BYTES, data);
      }
      await fileSystem.fsync(handle);
      await fileSystem.release(handle);
      return attributes.inode;
    });
  }

  /** In turns, so of two files rather than of one that grows. */
  async #measureGets(tenth: number, pieces: number): Promise<void> {
    const { sizes, book, signal } = this.#context;
    const serverPid = this.#cluster.metadata.pid;
    await this.#withSession(async session => {
      const [first, last] = await measureInTurns(
        [tenth, pieces].map(inode => ({
          count: sizes.pages,
          serverPid,
          signal,
          request: async () => {
            // Never so near the end that the page is not full.
            const offset = Math.floor(Math.random() * sizes.fileBytes * 0.5);
            await session.ask(get, { inode, offset, limit: EXTENTS_PER_PAGE });
          },
        })),
      );
      const what = 'get of a page of extents';
      if (first) book.add('first tenth', what, 'µs', first.microseconds, { is: 'flat' });
      if (last) book.add('last tenth', what, 'µs', last.microseconds, { is: 'flat' });
    });
  }

  /** By clients that know nothing yet. */
  async #read(inode: number, size: string): Promise<void> {
    const { sizes, book, signal } = this.#context;
    await this.#withFileSystem(async fileSystem => {
      const handle = await fileSystem.open(inode, constants.O_RDONLY);
      const startedMs = performance.now();
      for (let offset = 0; offset < sizes.fileBytes; offset += READ_BYTES) {
        signal.throwIfAborted();
        await fileSystem.read(handle, offset, READ_BYTES);
      }
      const perMib = ((performance.now() - startedMs) * 1000) / (sizes.fileBytes / READ_BYTES);
      book.add(size, 'reading 1 MiB in order', 'µs', perMib);
      await fileSystem.release(handle);
    });
    await this.#withFileSystem(async fileSystem => {
      const handle = await fileSystem.open(inode, constants.O_RDONLY);
      const { microseconds } = await measureRequests({
        count: sizes.requests,
        serverPid: this.#cluster.metadata.pid,
        signal,
        request: async () => {
          const piece = Math.floor((Math.random() * sizes.fileBytes) / PIECE_BYTES);
          await fileSystem.read(handle, piece * PIECE_BYTES, PIECE_BYTES);
        },
      });
      book.add(size, 'reading 4 KiB anywhere', 'µs', microseconds);
      await fileSystem.release(handle);
    });
    book.add(size, 'extents', '', await this.#extents(inode));
  }

  async #extents(inode: number): Promise<number> {
    return await this.#withSession(async session => {
      let count = 0;
      for (let offset = 0; offset >= 0;) {
        const page = await session.ask(get, { inode, offset, limit: EXTENTS_PER_PAGE });
        count += page.extents.length;
        offset = page.next;
      }
      return count;
    });
  }
}

/** The numbers below `count` in random order. */
function shuffled(count: number): Uint32Array {
  const numbers = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [numbers[index], numbers[other]] = [numbers[other] ?? 0, numbers[index] ?? 0];
  }
  return numbers;
}
