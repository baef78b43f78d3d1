/** The Debian package (npm run package): unpacked, it runs on a machine that has neither Node nor npm. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { COMMANDS } from '../../src/cli/commands.js';
import { findProgram } from '../support/find-program.js';
import { builtPackage } from '../support/package.js';
import { inClone, runFile } from '../support/programs.js';

/** What the script in front of Node calls. */
const NEEDED_PROGRAMS = ['sh', 'readlink'];

t.test('what is installed runs by itself, and is complete', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-package-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const root = join(directory, 'root');
  execFileSync('dpkg-deb', ['-x', await builtPackage(t), root]);

  const programs = join(directory, 'programs');
  await mkdir(programs);
  for (const each of NEEDED_PROGRAMS) symlinkSync(findProgram(each) ?? '', join(programs, each));
  const home = join(directory, 'home');
  const run = async (...parameters: string[]) =>
    await runFile('env', [
      '-i',
      `PATH=${programs}`,
      `DFS_HOME=${home}`,
      join(root, 'usr/bin/dfs'),
      ...parameters,
    ]);
  const { version } = JSON.parse(readFileSync(inClone('package.json'), 'utf8')) as { version: string };
  const told = await run('--version');
  t.equal(told.stdout, `${version}\n`, told.stderr);
  // SQLite and libc are reached through the machine code that was packed.
  const created = await run('createdb');
  t.equal(created.code, 0, created.stderr);

  const isThere = (path: string): void => void t.ok(existsSync(join(root, path)), path);
  for (const command of COMMANDS) isThere(`usr/share/man/man1/dfs-${command.name}.1.gz`);
  for (const path of [
    'usr/share/man/man1/dfs.1.gz',
    'usr/share/man/man8/mount.dfs.8.gz',
    'usr/share/man/man8/umount.fuse.dfs.8.gz',
    'usr/sbin/mount.dfs',
    'usr/sbin/umount.fuse.dfs',
    'usr/share/bash-completion/completions/dfs',
    'usr/share/zsh/vendor-completions/_dfs',
    'usr/share/fish/vendor_completions.d/dfs.fish',
    'usr/lib/systemd/system/dfs-metadata.service',
    'usr/lib/systemd/system/dfs-node@.service',
    'usr/lib/sysusers.d/dfs.conf',
    'usr/share/doc/dfs/copyright',
  ])
    isThere(path);
  t.strictSame(await readdir(join(root, 'usr/bin')), ['dfs'], 'no name of a program of the system is taken');
  const bill = JSON.parse(readFileSync(join(root, 'usr/share/doc/dfs/sbom.cdx.json'), 'utf8')) as {
    readonly components: readonly { readonly name: string }[];
  };
  t.ok(bill.components.some(({ name: each }) => each === 'better-sqlite3'));
  t.equal(statSync(join(root, 'usr/lib/dfs/build/bundle/bin/main.js')).mode & 0o777, 0o644);
});
