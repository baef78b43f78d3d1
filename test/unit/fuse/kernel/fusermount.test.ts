/** Mounting by fusermount3 (fuse/kernel/fusermount.ts): the real one, and others of that name that fail. */
import { closeSync, existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { hasFusermount, mountByFusermount } from '../../../../src/fuse/kernel/fusermount.js';
import { findMount } from '../../../../src/fuse/mount-table.js';
import { mountedAt, mountOptions, mountPlace } from '../support/mount-place.js';

const CONFIGURATION = '/etc/fuse.conf';
const MAY_ALLOW_OTHER =
  existsSync(CONFIGURATION) && /^\s*user_allow_other\s*$/m.test(readFileSync(CONFIGURATION, 'utf8'));

/** A PATH on which there is nothing but this shell script as fusermount3, or nothing at all. */
async function pathWith(t: Test, script?: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-path-'));
  const { PATH } = process.env;
  t.teardown(async () => {
    process.env['PATH'] = PATH;
    await rm(directory, { recursive: true });
  });
  if (script !== undefined) {
    const program = join(directory, 'fusermount3');
    await writeFile(program, `#!/bin/sh\n${script}\n`);
    await chmod(program, 0o755);
  }
  process.env['PATH'] = directory;
  return directory;
}

t.test(
  'it mounts, and hands over the descriptor that serves the mount',
  { skip: !hasFusermount() },
  async t => {
    const place = await mountPlace(t);
    const fd = await mountByFusermount(mountOptions(place, { source: 'dfs@a,b\\c' }).options);
    // Nobody serves it: requests fail rather than wait from here on.
    closeSync(fd);
    t.match(await mountedAt(place), { type: 'fuse.dfs', source: 'dfs@a,b\\c' });
  },
);

t.test('whether there is one is whether one can be executed', async t => {
  const directory = await pathWith(t, 'exit 0');
  t.ok(hasFusermount());
  await chmod(join(directory, 'fusermount3'), 0o644);
  t.notOk(hasFusermount());
  process.env['PATH'] = '';
  t.notOk(hasFusermount());
});

t.test('where there is none it is ENOENT, with the package to install', async t => {
  await pathWith(t);
  await t.rejects(mountByFusermount(mountOptions('/nowhere').options), {
    code: 'ENOENT',
    message: /package fuse3/,
  });
});

t.test('what it says when it refuses is told', async t => {
  const place = await mountPlace(t);
  await pathWith(t, 'echo "fusermount3: bad mount point" >&2; exit 1');
  await t.rejects(mountByFusermount(mountOptions(place).options), {
    code: 'EPERM',
    message: 'cannot mount: fusermount3: bad mount point',
  });
  await pathWith(t, 'exit 1');
  await t.rejects(mountByFusermount(mountOptions(place).options), {
    code: 'EPERM',
    message: 'fusermount3 failed',
  });
  await pathWith(t, 'kill -9 $$');
  await t.rejects(mountByFusermount(mountOptions(place).options), { code: 'EPERM' });
  t.equal(await findMount(place), undefined);
});

t.test('one that says it has mounted, and hands over nothing, or bytes, is EIO', async t => {
  for (const script of ['exit 0', 'echo bytes >&3']) {
    await pathWith(t, script);
    await t.rejects(mountByFusermount(mountOptions('/nowhere').options), { code: 'EIO' }, script);
  }
});

t.test('a mount by a user is without setuid and devices, whatever was asked for', async t => {
  const directory = await pathWith(t, 'printf "%s\\n" "$@" >"${0%/*}/said"; exit 1');
  const asked = { allowSuid: true, allowDevices: true, atime: 'relatime', source: 'a,b\\c' } as const;
  await t.rejects(mountByFusermount(mountOptions('/-place', asked).options), { code: 'EPERM' });
  const [flag, options = '', dashes, place] = (await readFile(join(directory, 'said'), 'utf8')).split('\n');
  t.same([flag, dashes, place], ['-o', '--', '/-place']);
  t.equal(options, 'rw,nosuid,nodev,fsname=a\\,b\\\\c,subtype=dfs,default_permissions,relatime');
});

t.test(
  '--allow-other is refused before anything is mounted, with what to do',
  { skip: MAY_ALLOW_OTHER },
  async t => {
    const directory = await pathWith(t, ': >"${0%/*}/called"');
    await t.rejects(mountByFusermount(mountOptions('/nowhere', { allowOther: true }).options), {
      code: 'EPERM',
      message: /user_allow_other; add the line/,
    });
    t.notOk(existsSync(join(directory, 'called')));
  },
);
