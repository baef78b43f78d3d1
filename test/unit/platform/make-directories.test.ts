import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeDirectories } from '../../../src/platform/make-directories.js';

async function scratch(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-directories-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  return directory;
}

t.test('directories are made with those above them, with their mode, also by several at once', async t => {
  const root = await scratch(t);
  const deep = join(root, 'a', 'b', 'c');
  await Promise.all(Array.from({ length: 16 }, async () => await makeDirectories(deep, 0o700)));
  t.equal((await stat(join(root, 'a'))).mode & 0o777, 0o700);
  t.ok((await stat(deep)).isDirectory());
  await makeDirectories(deep);
  await makeDirectories('/');
  await makeDirectories('.');
});

t.test('a directory behind a symbolic link is one', async t => {
  const root = await scratch(t);
  await makeDirectories(join(root, 'real'));
  await symlink('real', join(root, 'link'));
  await makeDirectories(join(root, 'link'));
  await makeDirectories(join(root, 'link', 'below'));
  t.same(await readdir(join(root, 'real')), ['below']);
});

t.test('what stands in the way is named, and nothing is tried for ever', async t => {
  const root = await scratch(t);
  await writeFile(join(root, 'file'), '');
  await symlink('nowhere', join(root, 'dangling'));
  const cases: readonly [string, string, RegExp][] = [
    [join(root, 'file'), 'EEXIST', /something else of that name/],
    [join(root, 'file', 'x'), 'ENOTDIR', /a name in the middle of .*file\/x is no directory/],
    [join(root, 'dangling'), 'EEXIST', /symbolic link of that name that leads nowhere/],
    [join(root, 'dangling', 'x', 'y'), 'EEXIST', /leads nowhere/],
    [join(root, 'n'.repeat(300)), 'ENAMETOOLONG', /too long/],
    // procfs answers ENOENT to mkdir(2) in a directory that is there.
    [
      '/proc/none',
      'ENOENT',
      /cannot make the directory \/proc\/none: \/proc is there, but nothing can be made/,
    ],
    ['/proc/none/x/y', 'ENOENT', /cannot make the directory \/proc\/none\/x\/y: \/proc is there/],
  ];
  for (const [path, code, message] of cases) await t.rejects(makeDirectories(path), { code, message }, path);
});
