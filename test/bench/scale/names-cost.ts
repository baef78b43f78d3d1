/** The cost of requests for names and files, with more and more inodes in the database. */
import { join } from 'node:path';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { DEFAULT_CHUNK_BYTES, DEFAULT_GOAL, MAX_DIRECTORY_PAGE } from '../../../src/protocol/limits.js';
import { get, put } from '../../../src/protocol/content-commands.js';
import { lookup, readdir } from '../../../src/protocol/namespace-commands.js';
import { residentMib } from '../daemons.js';
import type { CostBook } from './cost-series.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledTree } from './filled-tree.js';
import { FilledServer, STANDING_NODES } from './metadata-process.js';
import { measureInTurns } from './request-cost.js';
import type { ScaleContext } from './scale-context.js';
import type { ScaleSizes } from './scale-sizes.js';

const EXTENTS_PER_PAGE = 1024;

/** Request by request: what it is called, how many of them, and how one is made. */
export interface RequestKind {
  readonly what: string;
  readonly count: number;
  readonly request: (index: number) => Promise<unknown>;
}

/** The new files of one client, each of another name. */
export class FileMaker {
  readonly #session: MetadataSession;
  #made = 0;

  constructor(session: MetadataSession) {
    this.#session = session;
  }

  /** Creates a file as an open(2) does that a close(2) follows. */
  async create(parent: number, prefix = 'new'): Promise<void> {
    this.#made += 1;
    const reply = await this.#session.ordered.execute(put, {
      parent,
      name: Buffer.from(`${prefix}-${this.#made}`),
      mode: 0o644,
      uid: 0,
      gid: 0,
      exclusive: true,
      count: 1,
      goal: DEFAULT_GOAL,
      maxBytes: DEFAULT_CHUNK_BYTES,
      exclude: [],
    });
    this.#session.opens.recordOpen(reply.attributes.inode);
    await this.#session.opens.release(reply.attributes.inode);
  }
}

/** Who asks, and what about. */
export interface Asked {
  readonly session: MetadataSession;
  readonly tree: FilledTree;
  /** Names are looked up, read and listed in the leaves from the first to before the second; default: in all. */
  readonly leaves?: readonly [from: number, to: number];
  /** Where a new file goes; default: to any of those leaves. */
  readonly newFilesIn?: () => number;
}

/** The four requests, on random places. New files come last, so that they are in no directory that is listed. */
export function requestsOn(
  {
    session,
    tree,
    leaves = [0, tree.leaves],
    newFilesIn = () => tree.leaf(tree.randomLeaf(...leaves)),
  }: Asked,
  { requests, pages }: Pick<ScaleSizes, 'requests' | 'pages'>,
): RequestKind[] {
  const maker = new FileMaker(session);
  return [
    {
      what: 'lookup',
      count: requests,
      request: async () => {
        const { parent, name } = tree.randomFile(...leaves);
        await session.ask(lookup, { parent, name });
      },
    },
    {
      what: 'get',
      count: requests,
      request: async () => {
        const { inode } = tree.randomFile(...leaves);
        await session.ask(get, { inode, offset: 0, limit: EXTENTS_PER_PAGE });
      },
    },
    {
      what: 'readdir of 100 entries',
      count: pages,
      request: async () => {
        const inode = tree.leaf(tree.randomLeaf(...leaves));
        await session.ask(readdir, { inode, after: new Uint8Array(), limit: MAX_DIRECTORY_PAGE });
      },
    },
    { what: 'create', count: requests, request: async () => await maker.create(newFilesIn()) },
  ];
}

/** What is measured at one size. */
export interface MeasuredSize {
  readonly size: string;
  readonly serverPid: number;
  /** The same kinds in the same order at each size. */
  readonly kinds: readonly RequestKind[];
}

/** Measures each kind at all sizes in turns, and writes it down. */
export async function measureKinds(
  book: CostBook,
  sizes: readonly MeasuredSize[],
  signal: AbortSignal,
): Promise<void> {
  const whats = sizes[0]?.kinds.map(({ what }) => what) ?? [];
  for (const what of whats) {
    const measured = sizes.flatMap(({ size, serverPid, kinds }) =>
      kinds
        .filter(kind => kind.what === what)
        .map(({ count, request }) => ({ count, request, size, serverPid, signal })),
    );
    const costs = await measureInTurns(measured);
    for (const [index, { size }] of measured.entries()) {
      const cost = costs[index];
      if (!cost) continue;
      book.add(size, what, 'µs', cost.microseconds, { is: 'flat' });
      book.add(size, `${what}, processor time of the server`, 'µs', cost.serverMicroseconds);
    }
  }
}

/** A server on a database that was filled to a size, and a client of it. */
class NamesSubject {
  readonly size: string;
  readonly #path: string;
  readonly #server: FilledServer;
  #session: MetadataSession | undefined;

  constructor(directory: string, inodes: number) {
    this.size = String(inodes);
    this.#path = join(directory, `names-${inodes}`, 'dfs.db');
    this.#server = new FilledServer(this.#path);
  }

  async start(book: CostBook): Promise<Asked> {
    const startedMs = performance.now();
    const filler = await DatabaseFiller.create(this.#path, STANDING_NODES, DEFAULT_GOAL);
    const tree = FilledTree.fill(filler, Number(this.size));
    filler.finish();
    book.add(this.size, 'filling the database', 's', (performance.now() - startedMs) / 1000);
    await this.#server.start();
    book.add(this.size, 'start of the server', 'ms', this.#server.startMs);
    await this.addMemory(book, 'memory after the start');
    this.#session = await this.#server.connect('scale');
    return { session: this.#session, tree };
  }

  get serverPid(): number {
    return this.#server.process.pid;
  }

  async addMemory(book: CostBook, what: string): Promise<void> {
    book.add(this.size, what, 'MiB', await residentMib(this.serverPid));
  }

  async close(): Promise<void> {
    await this.#session?.close().catch(() => undefined);
    await this.#server.stop();
    await removeDatabase(this.#path);
  }
}

/** All databases are there at the same time, since they are measured in turns. */
export async function measureNames({ directory, sizes, book, signal }: ScaleContext): Promise<void> {
  const subjects = sizes.inodes.map(inodes => new NamesSubject(directory, inodes));
  try {
    const measured: MeasuredSize[] = [];
    for (const subject of subjects) {
      signal.throwIfAborted();
      const kinds = requestsOn(await subject.start(book), sizes);
      measured.push({ size: subject.size, serverPid: subject.serverPid, kinds });
    }
    await measureKinds(book, measured, signal);
    for (const subject of subjects) await subject.addMemory(book, 'memory afterwards');
  } finally {
    for (const subject of subjects) await subject.close();
  }
}
