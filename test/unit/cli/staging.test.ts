/** What a copy makes before it has its name, and what becomes of it when its process is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DfsTree, type DfsPlace } from '../../../src/cli/copy/dfs-tree.js';
import { LocalTree } from '../../../src/cli/copy/local-tree.js';
import { stage } from '../../../src/cli/copy/staging.js';
import { systemRandom } from '../../../src/platform/random.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { FileSystem } from '../../../src/vfs/file-system.js';
import { inClone } from '../../support/programs.js';
import { refusal } from '../metadata/support/harness.js';
import { connect, serve } from '../vfs/support/connected-clients.js';

const HIDDEN = /^\.x\.dfs-copy-[0-9a-f]{12}(\.lock)?$/;

async function namesIn(fileSystem: FileSystem): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of fileSystem.readdir(ROOT_INODE)) names.push(name.toString());
  return names;
}

const placeOf = (tree: DfsTree, name: string): DfsPlace => tree.placeAt([Buffer.from(name)]);

t.test('a file in a DFS has no name before it is published, and then replaces another at once', async t => {
  const server = await serve(t);
  const [client, other] = [await connect(t, server), await connect(t, server)];
  const tree = new DfsTree(client, '');
  const x = placeOf(tree, 'x');
  for (const isReplacing of [false, true]) {
    const staging = await stage(tree, x, 'file', systemRandom);
    const writer = await tree.createWriter(staging.place, isReplacing ? 0o600 : 0o644);
    await writer.finish(false);
    const before = await namesIn(other);
    t.same(before, isReplacing ? ['x'] : []);
    if (isReplacing) t.equal(await refusal(staging.publish(false)), 'EEXIST');
    await staging.publish(isReplacing);
    t.same(await namesIn(other), ['x']);
    const { mode, nlink } = await other.lookup(ROOT_INODE, Buffer.from('x'));
    t.same([mode & 0o777, nlink], [isReplacing ? 0o600 : 0o644, 1]);
  }
});

t.test(
  'a tree in a DFS that a client left is removed by the next copy, and not while its client lives',
  async t => {
    const server = await serve(t);
    const [client, next] = [await connect(t, server), await connect(t, server)];
    const tree = new DfsTree(client, '');
    const staging = await stage(tree, placeOf(tree, 'x'), 'directory', systemRandom);
    await tree.makeDirectory(staging.place, 0o755);
    await (await tree.createWriter(tree.child(staging.place, Buffer.from('inner')), 0o600)).finish(false);

    const nextTree = new DfsTree(next, '');
    await (await stage(nextTree, placeOf(nextTree, 'y'), 'file', systemRandom)).discard();
    const kept = await namesIn(next);
    t.equal(kept.length, 2, 'the tree and its lock file');
    for (const name of kept) t.match(name, HIDDEN);

    // As when its process is killed: its session ends, and with it the lock.
    await client.close();
    await (await stage(nextTree, placeOf(nextTree, 'y'), 'file', systemRandom)).discard();
    t.same(await namesIn(next), []);
  },
);

t.test('a tree in a DFS gets its name, and its lock file goes', async t => {
  const client = await connect(t, await serve(t));
  const tree = new DfsTree(client, '');
  const staging = await stage(tree, placeOf(tree, 'x'), 'directory', systemRandom);
  await tree.makeDirectory(staging.place, 0o555);
  await staging.publish(false);
  t.same(await namesIn(client), ['x']);
});

async function scratchDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-staging-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A process that has begun a copy to `path` and goes on for ever. */
const COPYING = `
  import { LocalTree } from ${JSON.stringify(inClone('build/src/cli/copy/local-tree.js'))};
  import { stage } from ${JSON.stringify(inClone('build/src/cli/copy/staging.js'))};
  import { systemRandom } from ${JSON.stringify(inClone('build/src/platform/random.js'))};
  const tree = new LocalTree();
  const staging = await stage(tree, Buffer.from(process.argv[1]), 'file', systemRandom);
  const writer = await tree.createWriter(staging.place);
  await writer.write([Buffer.from('half')]);
  process.stdout.write('there');
  setInterval(() => undefined, 1000);
`;

for (const kind of ['file', 'directory'] as const) {
  t.test(`a local file that a copy killed by -9 left is removed by the next copy of a ${kind}`, async t => {
    const scratch = await scratchDirectory(t);
    const lookalike = '.x.dfs-copy-0123456789ab';
    await writeFile(join(scratch, lookalike), 'without a lock file it is nobody else’s business');
    const x = join(scratch, 'x');
    const child = spawn(process.execPath, ['--input-type=module', '--eval', COPYING, x], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');

    const tree = new LocalTree();
    const attempt = await stage(tree, Buffer.from(x), kind, systemRandom);
    await attempt.discard();
    const kept = (await readdir(scratch)).filter(name => name !== lookalike);
    t.equal(kept.length, 2, 'nothing is removed while its maker lives');
    for (const name of kept) t.match(name, HIDDEN);

    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await (await stage(tree, Buffer.from(x), kind, systemRandom)).discard();
    t.same(await readdir(scratch), [lookalike]);
  });
}
