/** What it costs that clients have very many inodes to themselves, and that others ask for some of them. */
import { join } from 'node:path';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { listXattrs, mkdir } from '../../../src/client/namespace/namespace.js';
import { sleep, systemClock } from '../../../src/platform/clock.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { DEFAULT_GOAL } from '../../../src/protocol/limits.js';
import { getattr } from '../../../src/protocol/namespace-commands.js';
import { residentMib } from '../daemons.js';
import { DatabaseFiller, removeDatabase } from './filled-database.js';
import { FilledServer, STANDING_NODES } from './metadata-process.js';
import type { ScaleContext } from './scale-context.js';

const CREATION = { mode: 0o644, uid: 0, gid: 0 };
const PER_SECOND = 10;
/** Files of a holder are asked for in this order, so that no two in a row lie beside each other. */
const STEP = 7919;

/** A client with a directory full of files that are its own. */
interface Holder {
  readonly session: MetadataSession;
  readonly files: number[];
}

/** Makes files ahead of the server, as fast as it takes them. */
async function makeFiles({ session, files }: Holder, directory: number, count: number): Promise<void> {
  while (files.length < count) {
    const name = Buffer.from(`f${files.length}`);
    const made = session.foretold.names.create(directory, name, CREATION, DEFAULT_GOAL, {});
    if (made) files.push(made.inode);
    else await sleep(systemClock, 1);
  }
  await session.changes.drained();
}

async function measureHolders(context: ScaleContext, count: number): Promise<void> {
  const { directory, sizes, book, signal } = context;
  const path = join(directory, `held-${count}`, 'dfs.db');
  const server = new FilledServer(path);
  const holders: Holder[] = [];
  const size = String(count);
  try {
    (await DatabaseFiller.create(path, STANDING_NODES, DEFAULT_GOAL)).finish();
    await server.start();
    const { pid } = server.process;
    while (holders.length < sizes.holders) {
      signal.throwIfAborted();
      const session = await server.connect(`holder ${holders.length}`);
      holders.push({ session, files: [] });
    }
    const before = await residentMib(pid);
    const each = Math.ceil(count / sizes.holders);
    for (const [index, holder] of holders.entries()) {
      signal.throwIfAborted();
      const called = Buffer.from(`own-${index}`);
      const { inode } = await mkdir(holder.session, ROOT_INODE, called, { ...CREATION, mode: 0o755 }, {});
      // What files inherit from it.
      await listXattrs(holder.session, inode, {});
      await makeFiles(holder, inode, each);
    }
    const isHeld = holders.every(({ session, files }) => files.every(file => session.held.has(file)));
    if (!isHeld) throw new Error('not every file is its maker’s alone');
    book.add(size, 'memory of the server for what is held', 'MiB', (await residentMib(pid)) - before);
    const asker = await server.connect('asker');
    try {
      const took = await recallSome(asker, holders, sizes.recallSeconds * PER_SECOND, signal);
      const bound = { is: 'below', value: sizes.recallMs } as const;
      book.add(size, `a recall, ten in a second, half of them`, 'ms', quantile(took, 0.5), bound);
      book.add(size, `a recall, ten in a second, 99 of 100`, 'ms', quantile(took, 0.99));
    } finally {
      await asker.close();
    }
  } finally {
    await Promise.all(holders.map(async ({ session }) => await session.close().catch(() => undefined)));
    await server.stop();
    await removeDatabase(path);
  }
}

/** Another client asks for a file of each holder in turn; how long each answer took, in ms. */
async function recallSome(
  asker: MetadataSession,
  holders: readonly Holder[],
  recalls: number,
  signal: AbortSignal,
): Promise<number[]> {
  const took: number[] = [];
  for (let asked = 0; asked < recalls; asked += 1) {
    signal.throwIfAborted();
    const holder = holders[asked % holders.length];
    const inode = holder?.files[(asked * STEP) % holder.files.length];
    if (!holder || inode === undefined) throw new Error('nobody has anything to itself');
    const began = performance.now();
    await asker.ask(getattr, { inode });
    took.push(performance.now() - began);
    if (holder.session.held.has(inode))
      throw new Error('what another client has read is still its maker’s alone');
    await sleep(systemClock, 1000 / PER_SECOND);
  }
  return took.sort((a, b) => a - b);
}

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

/** Inodes that are one client's alone: what they cost the server, and to give one back. */
export async function measureRecalls(context: ScaleContext): Promise<void> {
  for (const count of context.sizes.held) await measureHolders(context, count);
}
