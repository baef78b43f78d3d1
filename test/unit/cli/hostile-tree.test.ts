/**
 * `copy -r` cannot leave its destination: not by the names that a metadata server lists, nor by what somebody else puts in the place of
 * what was made there (cli/copy/local-tree.ts).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LocalTree } from '../../../src/cli/copy/local-tree.js';
import { DfsTree } from '../../../src/cli/copy/dfs-tree.js';
import { transfer, type TransferOptions } from '../../../src/cli/copy/transfer.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/protocol/file-mode.js';
import { get, open, release } from '../../../src/protocol/content-commands.js';
import {
  getattr,
  list,
  lookup,
  readdir,
  readlink,
  resolve,
} from '../../../src/protocol/namespace-commands.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { Routes } from '../../../src/rpc/routes.js';
import { Vfs } from '../../../src/vfs/vfs.js';
import { attributesOf } from '../../support/attributes-of.js';
import { AS_CLIENT } from '../../support/test-keys.js';
import { ScriptedMetadata } from '../client/support/scripted-metadata.js';
import { LOG } from '../metadata/support/harness.js';

const DIRECTORY = 2;
const FILE = 3;
const LINK = 4;

const INODES: ReadonlyMap<number, Attributes> = new Map(
  [
    { inode: 1, mode: S_IFDIR | 0o755 },
    { inode: DIRECTORY, mode: S_IFDIR | 0o777 },
    { inode: FILE, mode: S_IFREG | 0o644 },
    { inode: LINK, mode: S_IFLNK | 0o777 },
  ].map(given => [given.inode, attributesOf(given)]),
);

const BAD_NAMES = { code: 'EPROTO', message: /lists a directory with names that cannot be in one/ };

interface Listed {
  readonly name: string;
  readonly inode: number;
}

/** A client of a metadata server that has one directory, in which it lists whatever it likes. */
async function hostileTree(t: Test, listed: readonly Listed[], target = 'nowhere'): Promise<Vfs> {
  const attributes = (inode: number): { attributes: Attributes } => ({
    attributes: INODES.get(inode) ?? attributesOf(),
  });
  const routes = new Routes()
    .on(resolve, async ({ names }) => {
      const walked = names.length;
      return await Promise.resolve({ ...attributes(walked === 0 ? 1 : DIRECTORY), walked });
    })
    .on(lookup, async () => await Promise.resolve(attributes(DIRECTORY)))
    .on(getattr, async ({ inode }) => await Promise.resolve(attributes(inode)))
    .on(open, async ({ inode }) => await Promise.resolve(attributes(inode)))
    .on(release, async () => await Promise.resolve({}))
    .on(readlink, async () => await Promise.resolve({ target: Buffer.from(target) }))
    .on(get, async ({ inode }) => {
      const nothing = { extents: [], chunks: [], readGrants: Buffer.alloc(0), nodes: [], next: -1 };
      return await Promise.resolve({ ...attributes(inode), ...nothing });
    })
    .on(list, async () => {
      const entries = listed.map(({ name, inode }) => ({ path: [Buffer.from(name)], ...attributes(inode) }));
      return await Promise.resolve({ entries, end: true });
    })
    .on(readdir, async ({ inode, after }) => {
      const all = inode === DIRECTORY ? listed : [];
      const entries = all.map(each => ({
        name: Buffer.from(each.name),
        attributes: attributes(each.inode).attributes,
      }));
      return await Promise.resolve({ entries: after.length === 0 ? entries : [], parent: 1, end: true });
    });
  const metadata = await ScriptedMetadata.start(t, routes);
  const vfs = await Vfs.open({
    network: metadata.cable,
    clock: systemClock,
    random: systemRandom,
    log: LOG,
    ...AS_CLIENT,
    metadata: metadata.endpoint,
    goal: 1,
    timeoutMs: 2000,
    clientName: 'test',
    dirtyBytes: 1 << 20,
    cacheBytes: 1 << 20,
    readAheadBytes: 0,
    chunkBytes: 1 << 20,
  });
  t.teardown(async () => await vfs.close());
  return vfs;
}

const OPTIONS: TransferOptions = {
  isRecursive: true,
  isPreserving: true,
  isReplacing: false,
  hasProgress: false,
  signal: new AbortController().signal,
  clock: systemClock,
  random: systemRandom,
  warn: () => undefined,
};

interface Place {
  /** Everything that the test makes is in it. */
  readonly outside: string;
  readonly destination: string;
}

async function placeFor(t: Test): Promise<Place> {
  const outside = await mkdtemp(join(tmpdir(), 'dfs-hostile-'));
  t.teardown(async () => await rm(outside, { recursive: true, force: true }));
  const destination = join(outside, 'destination');
  mkdirSync(destination);
  return { outside, destination };
}

async function copyTo(vfs: Vfs, destination: string): Promise<void> {
  const tree = new DfsTree(vfs, '');
  const place = tree.placeAt([Buffer.from('tree')]);
  const target = { tree: new LocalTree(), place: Buffer.from(destination), mustBeDirectory: true };
  await transfer({ tree, place, name: Buffer.from('tree') }, target, OPTIONS);
}

t.test('names that are none end the copy, and nothing is left inside or outside', async t => {
  for (const name of ['..', '.', '', 'a/b', '../evil', '/evil', 'a/../../evil', 'a\0b', 'x'.repeat(256)]) {
    for (const inode of [FILE, DIRECTORY, LINK]) {
      const { outside, destination } = await placeFor(t);
      const vfs = await hostileTree(t, [{ name, inode }]);
      await t.rejects(copyTo(vfs, destination), BAD_NAMES, JSON.stringify(name));
      t.same(readdirSync(destination), []);
      t.same(readdirSync(outside), ['destination']);
    }
  }
});

t.test('a listing that does not go on is not followed for ever', async t => {
  const { destination } = await placeFor(t);
  const unordered = await hostileTree(t, [
    { name: 'b', inode: FILE },
    { name: 'a', inode: FILE },
  ]);
  await t.rejects(copyTo(unordered, destination), BAD_NAMES, 'names out of order');
  const twice = await hostileTree(t, [
    { name: 'link', inode: LINK },
    { name: 'link', inode: DIRECTORY },
  ]);
  await t.rejects(copyTo(twice, destination), BAD_NAMES, 'a link, and a directory behind it');
  t.same(readdirSync(destination), []);
});

t.test('symbolic links are copied, and not followed, wherever they lead', async t => {
  const { outside, destination } = await placeFor(t);
  const secret = join(outside, 'secret');
  writeFileSync(secret, 'secret', { mode: 0o600 });
  const vfs = await hostileTree(t, [{ name: 'link', inode: LINK }], secret);
  await copyTo(vfs, destination);
  const copied = join(destination, 'tree', 'link');
  t.ok(lstatSync(copied).isSymbolicLink());
  t.equal(statSync(secret).mode & 0o777, 0o600, 'what it leads to has the mode that it had');
  const odd = await hostileTree(t, [{ name: 'link', inode: LINK }], 'a\0b');
  const reason = { code: 'EPROTO', message: /leads to what is no path/ };
  await t.rejects(copyTo(odd, join(destination, 'tree')), reason, 'a target that is no path');
});

t.test('what somebody puts in the place of the copy while it is made is not written to', async t => {
  const { outside, destination } = await placeFor(t);
  const elsewhere = join(outside, 'elsewhere');
  mkdirSync(elsewhere, { mode: 0o700 });
  const tree = new LocalTree();
  const made = Buffer.from(join(destination, '.staged'));
  await tree.makeDirectory(made);
  renameSync(made, join(outside, 'moved'));
  symlinkSync(elsewhere, made);
  const writer = await tree.createWriter(tree.child(made, Buffer.from('file')));
  await writer.write([Buffer.from('bytes')]);
  await writer.finish(false);
  await tree.makeDirectory(tree.child(made, Buffer.from('directory')));
  await tree.makeSymlink(tree.child(made, Buffer.from('link')), Buffer.from('target'));
  await tree.setAttributes(tree.child(made, Buffer.from('file')), 'file', { permissions: 0o640 });
  await tree.setAttributes(made, 'directory', { permissions: 0o755 });
  t.same(readdirSync(elsewhere), [], 'nothing came to where the link leads');
  t.equal(statSync(elsewhere).mode & 0o777, 0o700, 'and its mode is what it was');
  t.same(readdirSync(join(outside, 'moved')).sort(), ['directory', 'file', 'link']);
  t.equal(readFileSync(join(outside, 'moved', 'file'), 'utf8'), 'bytes');
  await tree.remove(made);
  t.notOk(existsSync(made), 'the link is removed');
  t.ok(existsSync(elsewhere), 'and not what it leads to');
});

t.test('a file that was replaced by a link keeps the mode of what the link leads to', async t => {
  const { outside, destination } = await placeFor(t);
  const secret = join(outside, 'secret');
  writeFileSync(secret, 'secret', { mode: 0o600 });
  const tree = new LocalTree();
  const place = Buffer.from(join(destination, 'file'));
  symlinkSync(secret, place);
  await t.rejects(tree.setAttributes(place, 'file', { permissions: 0o666 }), { code: 'ELOOP' });
  t.equal(statSync(secret).mode & 0o777, 0o600);
});

t.test(
  'removing a tree follows no link, also one that comes while it is removed',
  { timeout: 60_000 },
  async t => {
    const { outside, destination } = await placeFor(t);
    const elsewhere = join(outside, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'precious'), '');
    // Swaps a directory for a link to another one, and back, as fast as it can.
    const swapped = join(destination, 'tree', 'swapped');
    mkdirSync(join(destination, 'tree', 'kept'), { recursive: true });
    const script = `
    const { mkdirSync, renameSync, symlinkSync, rmSync, writeFileSync } = require('node:fs');
    const [name, to] = process.argv.slice(1);
    process.stdout.write('ready');
    for (;;) try {
      mkdirSync(name); writeFileSync(name + '/x', ''); renameSync(name, name + '.d'); symlinkSync(to, name); rmSync(name); rmSync(name + '.d', { recursive: true, force: true });
    } catch { try { rmSync(name + '.d', { recursive: true, force: true }); rmSync(name, { force: true }); } catch {} }`;
    const swapper = spawn(process.execPath, ['-e', script, swapped, elsewhere], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => swapper.kill('SIGKILL'));
    await once(swapper.stdout, 'data');
    const tree = new LocalTree();
    for (let round = 0; round < 200; round += 1) {
      await tree.remove(Buffer.from(join(destination, 'tree'))).catch(() => undefined);
      mkdirSync(join(destination, 'tree'), { recursive: true });
      if (!existsSync(join(elsewhere, 'precious'))) break;
    }
    t.ok(existsSync(join(elsewhere, 'precious')), 'what the link leads to is there');
    chmodSync(elsewhere, 0o700);
  },
);
