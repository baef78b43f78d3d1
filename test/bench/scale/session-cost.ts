/** The cost of requests while other clients cache what they have read. */
import { join } from 'node:path';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { DEFAULT_GOAL, MAX_DIRECTORY_PAGE } from '../../../src/protocol/limits.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { getattr, readdir, setattr } from '../../../src/protocol/namespace-commands.js';
import { residentMib } from '../daemons.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledTree } from './filled-tree.js';
import { FilledServer, STANDING_NODES } from './metadata-process.js';
import { measureKinds, requestsOn, type MeasuredSize } from './names-cost.js';
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

/** A server with so many clients, on a database of its own. */
class SessionSubject {
  readonly #count: number;
  readonly #path: string;
  readonly #server: FilledServer;
  readonly #sessions: MetadataSession[] = [];
  /** The directories that every client knows. */
  #top: readonly number[] = [];

  constructor(directory: string, count: number) {
    this.#count = count;
    this.#path = join(directory, `sessions-${count}`, 'dfs.db');
    this.#server = new FilledServer(this.#path);
  }

  /** @param most of all servers: a client's part of the tree is as large on each of them */
  async start({ sizes, signal }: ScaleContext, most: number): Promise<MeasuredSize> {
    const filler = await DatabaseFiller.create(this.#path, STANDING_NODES, DEFAULT_GOAL);
    const tree = FilledTree.fill(filler, sizes.sessionInodes);
    this.#top = tree.top;
    const share = Math.max(1, Math.floor(tree.leaves / most));
    // The directories that are listed have to stay as long as they are.
    const empty = Array.from({ length: share }, (_, index) =>
      filler.addDirectory(ROOT_INODE, `new-${index}`),
    );
    filler.finish();
    await this.#server.start();
    while (this.#sessions.length < this.#count) {
      signal.throwIfAborted();
      const number = this.#sessions.length;
      const session = await this.#server.connect(`scale ${number}`);
      this.#sessions.push(session);
      await readPart(session, tree, number * share, (number + 1) * share);
    }
    const [first] = this.#sessions;
    if (!first) throw new Error('there is no client that could ask');
    const newFilesIn = (): number => empty[Math.floor(Math.random() * empty.length)] ?? ROOT_INODE;
    const kinds = requestsOn({ session: first, tree, leaves: [0, share], newFilesIn }, sizes);
    return { size: String(this.#count), serverPid: this.#server.process.pid, kinds };
  }

  /** What grows with the number of clients, as it must: each of them is told, and asks again. */
  async measureShared({ sizes, book, signal }: ScaleContext): Promise<void> {
    const [first] = this.#sessions;
    const [shared = ROOT_INODE] = this.#top;
    const size = String(this.#count);
    const serverPid = this.#server.process.pid;
    const change = await measureRequests({
      count: sizes.pages,
      serverPid,
      signal,
      request: async index => {
        await first?.ordered.execute(setattr, { inode: shared, mode: index % 2 === 0 ? 0o755 : 0o700 });
        // Everybody asks again, so that the next change concerns everybody.
        await Promise.all(this.#sessions.map(async session => await session.ask(getattr, { inode: shared })));
      },
    });
    const what = 'a change that concerns everybody, and all of them asking again';
    book.add(size, what, 'µs', change.microseconds);
    book.add(size, 'memory of the server', 'MiB', await residentMib(serverPid));
  }

  async close(): Promise<void> {
    await Promise.all(this.#sessions.map(async session => await session.close().catch(() => undefined)));
    await this.#server.stop();
    await removeDatabase(this.#path);
  }
}

/** All servers are there at the same time, since they are measured in turns. */
export async function measureSessions(context: ScaleContext): Promise<void> {
  const { directory, sizes, book, signal } = context;
  const most = Math.max(...sizes.sessions);
  const subjects = sizes.sessions.map(count => new SessionSubject(directory, count));
  try {
    const measured: MeasuredSize[] = [];
    for (const subject of subjects) measured.push(await subject.start(context, most));
    await measureKinds(book, measured, signal);
    for (const subject of subjects) await subject.measureShared(context);
  } finally {
    for (const subject of subjects) await subject.close();
  }
}
