/** The line in /etc/fstab (cli/mount/fstab.ts). */
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { mount } from '../../../../src/cli/commands/mount.js';
import { fstabLine, withEntry, writeFstab } from '../../../../src/cli/mount/fstab.js';
import { fstabOptions } from '../../../../src/cli/mount/fstab-options.js';
import { helperCall } from '../../../../src/cli/mount/mount-helper.js';

const ENTRY = {
  source: '10.0.0.1:8000:/',
  mountPoint: '/mnt/dfs',
  type: 'dfs',
  options: ['_netdev', 'x-systemd.automount', 'ro'],
};
const LINE = '10.0.0.1:8000:/ /mnt/dfs dfs _netdev,x-systemd.automount,ro 0 0';
const OTHERS = '# /etc/fstab\nUUID=1 /\text4 defaults 0 1\n\n  # /mnt/dfs\ntmpfs /tmp tmpfs size=1G';

t.test('the line comes last, or where the one before was; no other line changes', async t => {
  t.equal(fstabLine(ENTRY), LINE);
  t.equal(withEntry(OTHERS, ENTRY), `${OTHERS}\n${LINE}\n`, 'a last line without its end');
  t.equal(withEntry('', ENTRY), `${LINE}\n`);
  const before = `a / ext4 x 0 1\n\tother:/   /mnt/dfs/ dfs rw 0 0\nb /b xfs x 0 0\n`;
  t.equal(withEntry(before, ENTRY), `a / ext4 x 0 1\n${LINE}\nb /b xfs x 0 0\n`);
  t.equal(withEntry(withEntry(before, ENTRY), ENTRY), withEntry(before, ENTRY));
});

t.test('a directory where something else is mounted is left to that', async t => {
  t.throws(() => withEntry('x /\nserver:/x /mnt/dfs nfs rw 0 0\n', ENTRY), {
    code: 'EEXIST',
    message: /line 2 mounts server:\/x \(nfs\) at \/mnt\/dfs already/,
  });
});

t.test('spaces and the like stand as octal numbers, and are found again', async t => {
  const odd = { ...ENTRY, mountPoint: String.raw`/mnt/a b\c#d` };
  t.match(fstabLine(odd), String.raw`/mnt/a\040b\134c\043d`);
  t.equal(withEntry(withEntry('', odd), odd), `${fstabLine(odd)}\n`);
});

t.test('the file is replaced as a whole, with its mode, through a symbolic link, byte for byte', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-fstab-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'real');
  const link = join(directory, 'fstab');
  const latin1 = Buffer.concat([Buffer.from('# caf'), Buffer.from([0xe9]), Buffer.from('\n')]);
  await writeFile(path, latin1);
  await chmod(path, 0o640);
  await symlink('real', link);
  const entry = { ...ENTRY, mountPoint: '/mnt/ä' };
  t.equal(await writeFstab(link, entry), true);
  t.strictSame(await readFile(path), Buffer.concat([latin1, Buffer.from(`${fstabLine(entry)}\n`)]));
  t.equal((await stat(path)).mode & 0o7777, 0o640);
  t.equal(await writeFstab(link, entry), false, 'once more changes nothing');
  t.strictSame((await readdir(directory)).sort(), ['fstab', 'real']);
  const fresh = join(directory, 'fresh');
  t.equal(await writeFstab(fresh, entry), true);
  t.equal((await stat(fresh)).mode & 0o7777, 0o644);
  await t.rejects(writeFstab(join(directory, 'no', 'fstab'), entry), { code: 'ENOENT' });
});

t.test('what is written is what mount.dfs understands', async t => {
  const usual = {
    readOnly: false,
    exec: true,
    suid: false,
    dev: false,
    allowOther: undefined,
    keepNames: true,
    shortCircuit: true,
    atime: 'noatime',
    driver: 'auto',
    goal: 2,
    minReplicas: undefined,
    keyFile: undefined,
    logFile: undefined,
    cacheSize: 160 << 20,
    dirty: 32 << 20,
    readAhead: 8 << 20,
    timeout: 60_000,
  };
  t.strictSame(fstabOptions(usual), ['_netdev', 'x-systemd.automount']);
  const other = {
    readOnly: true,
    exec: false,
    suid: true,
    dev: true,
    allowOther: false,
    keepNames: false,
    shortCircuit: false,
    atime: 'relatime',
    driver: 'kernel',
    goal: 3,
    minReplicas: 1,
    keyFile: '/etc/key',
    logFile: '/log',
    cacheSize: 1 << 20,
    dirty: 1 << 20,
    readAhead: 0,
    timeout: 500,
  };
  const options = fstabOptions(other).join(',');
  const { parameters = [] } = helperCall(mount, ['h:/', '/m', '-o', options]);
  t.strictSame(parameters.slice(3, -2).sort(), [
    '--atime=relatime',
    '--cache-size=1048576',
    '--dev',
    '--dirty=1048576',
    '--driver=kernel',
    '--goal=3',
    '--key-file=/etc/key',
    '--log-file=/log',
    '--min-replicas=1',
    '--no-allow-other',
    '--no-exec',
    '--no-keep-names',
    '--no-short-circuit',
    '--read-ahead=0',
    '--read-only',
    '--suid',
    '--timeout=0.5',
  ]);
});
