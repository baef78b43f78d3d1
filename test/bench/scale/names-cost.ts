/** What requests for names and files cost with more and more inodes in the database. */
import { join } from 'node:path';
import type { MetadataSession } from '../../../src/client/metadata-session.js';
import { DEFAULT_CHUNK_BYTES, DEFAULT_GOAL, MAX_DIRECTORY_PAGE } from '../../../src/protocol/limits.js';
import { get, lookup, put, readdir } from '../../../src/protocol/metadata-commands.js';
import { residentMib } from '../daemons.js';
import type { CostBook } from './cost-series.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledTree } from './filled-tree.js';
import { FilledServer, STANDING_NODES } from './metadata-process.js';
import { measureRequests } from './request-cost.js';
import type { ScaleContext } from './scale-context.js';

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
    const reply = await this.#session.execute(put, {
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
    this.#session.noteOpen(reply.attributes.inode);
    await this.#session.release(reply.attributes.inode);
  }
}

/**
 * The four requests, on random places of a part of a tree.
 * @param maker of the session, if it has made files before
 */
export function requestsOn(
  session: MetadataSession,
  tree: FilledTree,
  { requests, pages }: { readonly requests: number; readonly pages: number },
  part: readonly [from: number, to: number] = [0, tree.leaves],
  maker = new FileMaker(session),
): RequestKind[] {
  return [
    {
      what: 'lookup',
      count: requests,
      request: async () => {
        const { parent, name } = tree.randomFile(...part);
        await session.ask(lookup, { parent, name });
      },
    },
    {
      what: 'get',
      count: requests,
      request: async () => {
        const { inode } = tree.randomFile(...part);
        await session.ask(get, { inode, offset: 0, limit: EXTENTS_PER_PAGE });
      },
    },
    {
      what: 'readdir of 100 entries',
      count: pages,
      request: async () => {
        const inode = tree.leaf(tree.randomLeaf(...part));
        await session.ask(readdir, { inode, after: new Uint8Array(), limit: MAX_DIRECTORY_PAGE });
      },
    },
    {
      what: 'create',
      count: requests,
      request: async () => await maker.create(tree.leaf(tree.randomLeaf(...part))),
    },
  ];
}

/** Measures each kind and writes it down. */
export async function measureKinds(
  book: CostBook,
  size: string,
  kinds: readonly RequestKind[],
  serverPid: number,
  signal: AbortSignal,
): Promise<void> {
  for (const { what, count, request } of kinds) {
    const cost = await measureRequests({ count, serverPid, signal, request });
    book.add(size, what, 'µs', cost.microseconds, { is: 'flat' });
    book.add(size, `${what}, processor time of the server`, 'µs', cost.serverMicroseconds);
  }
}

export async function measureNames({ directory, sizes, book, signal }: ScaleContext): Promise<void> {
  for (const inodes of sizes.inodes) {
    const size = String(inodes);
    const path = join(directory, `names-${inodes}`, 'dfs.db');
    const startedMs = performance.now();
    const filler = await DatabaseFiller.create(path, STANDING_NODES, DEFAULT_GOAL);
    const tree = FilledTree.fill(filler, inodes);
    filler.finish();
    book.add(size, 'filling the database', 's', (performance.now() - startedMs) / 1000);
    const server = new FilledServer(path);
    try {
      await server.start();
      book.add(size, 'start of the server', 'ms', server.startMs);
      book.add(size, 'memory after the start', 'MiB', await residentMib(server.process.pid));
      const session = await server.connect('scale');
      await measureKinds(book, size, requestsOn(session, tree, sizes), server.process.pid, signal);
      book.add(size, 'memory afterwards', 'MiB', await residentMib(server.process.pid));
      await session.close();
    } finally {
      await server.stop();
      await removeDatabase(path);
    }
  }
}
