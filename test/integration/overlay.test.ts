/** Overlay file systems, as containers have them, with their upper and work directories on a mount. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { inClone } from '../support/programs.js';
import { shell, startCluster } from '../support/cluster.js';

const program = inClone('test/support/overlay.py');
const USER = 20_001;

/** Why there can be no overlay here, if so. */
async function whyNot(): Promise<string | undefined> {
  await shell('modprobe overlay 2>/dev/null || true');
  const known = (await readFile('/proc/filesystems', 'utf8')).includes('\toverlay\n');
  return known ? undefined : 'this kernel has no overlay file system';
}

/** A directory on the local disk, for what the same steps make there. */
async function localDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-overlay-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o777);
  return directory;
}

const skip = (await whyNot()) ?? false;

t.test('the layers of an image are built on a mount as on a local disk', { skip }, async t => {
  const mountOptions = ['--driver', 'kernel'];
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 2, goal: 1, mountOptions });
  const [ours, theirs] = cluster.mounts.map(mount => mount.mountPoint);
  if (ours === undefined || theirs === undefined) throw new Error('two mounts were asked for');
  await chmod(cluster.directory, 0o755);

  for (const [name, options] of [
    ['plain', '-'],
    ['redirected', 'redirect_dir=on,metacopy=on'],
  ] as const) {
    await t.test(`as root (${options})`, async t => {
      await mkdir(join(ours, name));
      t.equal(
        await shell(`python3 ${program} ${join(ours, name)} ${await localDirectory(t)} ${options}`),
        'alike',
      );
    });
  }

  await t.test('what a layer removed is a whiteout to other clients', async t => {
    const layer = join(theirs, 'plain', 'clean', 'var', 'cache');
    t.same((await readdir(layer)).sort(), ['a', 'b']);
    const whiteout = await stat(join(layer, 'a'));
    t.equal(whiteout.isCharacterDevice(), true);
    t.equal(whiteout.rdev, 0);
    t.equal(whiteout.mode & 0o7777, 0);
  });

  const asUser = `setpriv --reuid ${USER} --regid ${USER} --clear-groups unshare --user --map-root-user --mount`;
  const refused = await shell(`${asUser} true 2>&1 || echo users may not make name spaces here`);
  await t.test('by a user in a name space of his own (userxattr)', { skip: refused || false }, async t => {
    const directory = join(ours, 'user');
    await shell(`mkdir ${directory} && chown ${USER}:${USER} ${directory}`);
    const made = `python3 ${program} ${directory} ${await localDirectory(t)} userxattr`;
    t.equal(await shell(`${asUser} ${made}`), 'alike');
  });
});

t.test(
  'with --no-keep-names an overlay stays as it is when another client becomes busy',
  { skip },
  async t => {
    const mountOptions = ['--driver', 'kernel'];
    const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, goal: 1, mountOptions });
    const [{ mountPoint: theirs } = { mountPoint: '' }] = cluster.mounts;
    const { mountPoint: ours } = await cluster.addMount(['--no-keep-names']);
    // On the mount itself, as containers have it: a name that is dropped takes with it what is mounted there.
    const merged = join(ours, 'merged');
    await shell(`cd ${ours} && mkdir -p lower/d/e upper work merged && echo lower > lower/d/e/file
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged`);
    t.teardown(async () => void (await shell(`umount -l ${merged}`)));
    await shell(`echo upper >> ${merged}/d/e/file && mkdir ${merged}/d/made && ls -lR ${merged}`);
    // The other one has been alone with its directory for seconds, and decides by itself there.
    await shell(`end=$(( $(date +%s) + 3 )); i=0
    while [ $(date +%s) -lt $end ]; do i=$((i + 1)); echo $i > ${theirs}/busy$i; done`);
    t.equal(await shell(`cat ${merged}/d/e/file && ls ${merged}/d`), 'lower\nupper\ne\nmade');
    await shell(`echo more >> ${merged}/d/e/file && mv ${merged}/d/e/file ${merged}/d/made/`);
    t.equal(await shell(`cat ${theirs}/upper/d/made/file`), 'lower\nupper\nmore');
  },
);
