/** What requests cost while other clients are there and keep what they were told. */
import { join } from 'node:path';
import type { MetadataSession } from '../../../src/client/metadata-session.js';
import { DEFAULT_GOAL, MAX_DIRECTORY_PAGE } from '../../../src/protocol/limits.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { getattr, readdir, setattr } from '../../../src/protocol/metadata-commands.js';
import { residentMib } from '../daemons.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledTree } from './filled-tree.js';
import { FilledServer, STANDING_NODES } from './metadata-process.js';
import { FileMaker, measureKinds, requestsOn } from './names-cost.js';
import { measureRequests } from './request-cost.js';
import type { ScaleContext } from './scale-context.js';

/** Every client knows the top of the tree, and what is below its own directories. */
async function readPart(session: MetadataSession, tree: FilledTree, from: number, to: number): Promise<void> {
  for (const inode of [ROOT_INODE, ...tree.top]) await session.ask(getattr, { inode });
  for (let leaf = from; leaf < to; leaf += 1) {
    const inode = tree.leaf(leaf);
    const { entries } = await session.ask(readdir, {
      inode,
      after: new Uint8Array(),
      limit: MAX_DIRECTORY_PAGE,
    });
    for (const { attributes } of entries) await session.ask(getattr, { inode: attributes.inode });
  }
}

export async function measureSessions({ directory, sizes, book, signal }: ScaleContext): Promise<void> {
  const path = join(directory, 'sessions', 'dfs.db');
  const filler = await DatabaseFiller.create(path, STANDING_NODES, DEFAULT_GOAL);
  const tree = FilledTree.fill(filler, sizes.sessionInodes);
  filler.finish();
  const server = new FilledServer(path);
  const sessions: MetadataSession[] = [];
  let maker: FileMaker | undefined;
  const most = Math.max(...sizes.sessions);
  const share = Math.max(1, Math.floor(tree.leaves / most));
  try {
    await server.start();
    for (const count of sizes.sessions) {
      while (sessions.length < count) {
        signal.throwIfAborted();
        const number = sessions.length;
        const session = await server.connect(`scale ${number}`);
        sessions.push(session);
        await readPart(session, tree, number * share, (number + 1) * share);
      }
      const [first] = sessions;
      if (!first) continue;
      maker ??= new FileMaker(first);
      const { pid } = server.process;
      await measureKinds(book, String(count), requestsOn(first, tree, sizes, [0, share], maker), pid, signal);
      const [shared = ROOT_INODE] = tree.top;
      const change = await measureRequests({
        count: sizes.pages,
        serverPid: pid,
        signal,
        request: async index => {
          await first.execute(setattr, { inode: shared, mode: index % 2 === 0 ? 0o755 : 0o700 });
          // Everybody asks again, so that the next change concerns everybody.
          await Promise.all(sessions.map(async session => await session.ask(getattr, { inode: shared })));
        },
      });
      book.add(
        String(count),
        'a change that concerns everybody, and all of them asking again',
        'µs',
        change.microseconds,
      );
      book.add(String(count), 'memory of the server', 'MiB', await residentMib(pid));
    }
  } finally {
    await Promise.all(sessions.map(async session => await session.close().catch(() => undefined)));
    await server.stop();
    await removeDatabase(path);
  }
}
