/** The cost of requests in a directory of very many entries. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { DEFAULT_GOAL, MAX_DIRECTORY_PAGE } from '../../../src/protocol/limits.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { lookup, readdir } from '../../../src/protocol/namespace-commands.js';
import { residentMib } from '../daemons.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledServer, STANDING_NODES } from './metadata-process.js';
import { FileMaker, measureKinds, type RequestKind } from './names-cost.js';
import type { ScaleContext } from './scale-context.js';
import type { ScaleSizes } from './scale-sizes.js';

const NAME_DIGITS = 20;

/** Names as a mail store or a build cache has them: their order is not the one in which they came. */
function hashedName(index: number): string {
  return createHash('sha1').update(String(index)).digest('hex').slice(0, NAME_DIGITS);
}

/** @param names of the entries, sorted */
function requestsIn(
  session: MetadataSession,
  inode: number,
  names: readonly string[],
  { requests, pages }: ScaleSizes,
): RequestKind[] {
  const anyName = (): Buffer => Buffer.from(names[Math.floor(Math.random() * names.length)] ?? '');
  const pageAfter = async (after: Uint8Array): Promise<void> => {
    await session.ask(readdir, { inode, after, limit: MAX_DIRECTORY_PAGE });
  };
  const lastPages = names.length - 2 * MAX_DIRECTORY_PAGE;
  const middle = (): number => Math.floor(Math.random() * Math.max(1, lastPages));
  const maker = new FileMaker(session);
  return [
    {
      what: 'lookup',
      count: requests,
      request: async () => await session.ask(lookup, { parent: inode, name: anyName() }),
    },
    { what: 'first page', count: pages, request: async () => await pageAfter(new Uint8Array()) },
    {
      what: 'any page',
      count: pages,
      request: async () => await pageAfter(Buffer.from(names[middle()] ?? '')),
    },
    {
      what: 'last page',
      count: pages,
      request: async () => await pageAfter(Buffer.from(names.at(-1 - MAX_DIRECTORY_PAGE) ?? '')),
    },
    {
      what: 'create',
      count: requests,
      request: async () => await maker.create(inode, hashedName(Math.floor(Math.random() * 1e9))),
    },
  ];
}

export async function measureDirectory({ directory, sizes, book, signal }: ScaleContext): Promise<void> {
  const path = join(directory, 'directory', 'dfs.db');
  const filler = await DatabaseFiller.create(path, STANDING_NODES, DEFAULT_GOAL);
  // All in one database, so that only the directory differs.
  const directories = sizes.entries.map(entries => {
    const inode = filler.addDirectory(ROOT_INODE, `of-${entries}`);
    const names = Array.from({ length: entries }, (_, index) => hashedName(index));
    for (const name of names) filler.addFile(inode, name);
    return { entries, inode, names: names.sort() };
  });
  filler.finish();
  const server = new FilledServer(path);
  try {
    await server.start();
    const session = await server.connect('scale');
    const { pid: serverPid } = server.process;
    const measured = directories.map(({ entries, inode, names }) => {
      const kinds = requestsIn(session, inode, names, sizes);
      return { size: String(entries), serverPid, kinds };
    });
    await measureKinds(book, measured, signal);
    book.add(String(Math.max(...sizes.entries)), 'memory of the server', 'MiB', await residentMib(serverPid));
    await session.close();
  } finally {
    await server.stop();
    await removeDatabase(path);
  }
}
