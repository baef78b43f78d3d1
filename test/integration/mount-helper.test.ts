/** `mount -t dfs`, as mount(8) and lines of /etc/fstab have it, with the options that the kernel is to show. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { inClone, runFile } from '../support/programs.js';

/**
 * In a mount namespace of its own, so that the machine keeps its /usr/sbin, where mount(8) and umount(8) look for helpers, and its /etc.
 * $1: a directory for all of it.
 */
const PREPARE = `
mount -t tmpfs none "$1/layer"
for name in sbin etc; do mkdir -p "$1/layer/$name/upper" "$1/layer/$name/work"; done
overlay() {
  mount -t overlay none -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$1"
}
overlay /usr/sbin "$1/layer/sbin"
overlay /etc "$1/layer/etc"
ln -s "$PROGRAMS/mount.dfs" "$PROGRAMS/umount.fuse.dfs" /usr/sbin
`;

t.test(
  'mount -t dfs mounts, read-only too, one directory, and by a line of fstab',
  { skip: process.getuid?.() === 0 ? false : 'only root mounts by mount(8)' },
  async t => {
    const cluster = await startCluster(t, { dataNodes: 1, goal: 1 });
    const base = join(cluster.directory, 'helper');
    for (const each of ['layer', 'mnt']) await mkdir(join(base, each), { recursive: true });
    await writeFile(join(base, 'prepare.sh'), PREPARE);
    const env = {
      ...cluster.environment,
      NODE_OPTIONS: undefined,
      PROGRAMS: inClone('bin'),
      SOURCE: `${cluster.metadata.address}:/`,
    };
    const inNamespace = async (script: string) =>
      await runFile(
        'unshare',
        ['-m', 'bash', '-euo', 'pipefail', '-c', `. "$1/prepare.sh"\n${script}`, 'bash', base],
        { env },
      );
    t.test('with what it is given', async t => {
      const { code, stdout, stderr } = await inNamespace(`
        mount -t dfs "$SOURCE" "$1/mnt" -o goal=1,noexec,_netdev,x-what=ever
        grep " $1/mnt " /proc/self/mounts
        mkdir "$1/mnt/below"
        echo content > "$1/mnt/below/file"
        printf '#!/bin/sh\n' > "$1/mnt/program" && chmod +x "$1/mnt/program"
        ! "$1/mnt/program" 2>/dev/null
        umount "$1/mnt"
        mount -t dfs "$SOURCE" "$1/mnt" -o ro
        grep " $1/mnt " /proc/self/mounts
        cat "$1/mnt/below/file"
        for change in "touch $1/mnt/new" "rm $1/mnt/program" "chmod 600 $1/mnt/program" "mkdir $1/mnt/d" "mv $1/mnt/program $1/mnt/q"; do
          ! LC_ALL=C $change 2> "$1/said"
          grep -q "Read-only file system" "$1/said"
        done
        umount "$1/mnt"
        mount -t dfs "\${SOURCE}below" "$1/mnt"
        ls "$1/mnt"
        umount "$1/mnt"
      `);
      t.equal(code, 0, stdout + stderr);
      const [writable = '', readOnly = '', ...rest] = stdout.trim().split('\n');
      t.match(writable, /fuse\.dfs rw,nosuid,nodev,noexec,noatime/);
      t.match(readOnly, /fuse\.dfs ro,/);
      t.strictSame(rest, ['content', 'file']);
    });
    t.test('with what is wrong, it says so and mount(8) tells', async t => {
      const wrong = await inNamespace(`mount -t dfs "$SOURCE" "$1/mnt" -o gaol=1`);
      t.equal(wrong.code, 1);
      t.match(wrong.stderr, /mount\.dfs: there is no mount option 'gaol'; did you mean 'goal'\?/);
      const absent = await inNamespace(`mount -t dfs 127.0.0.1:1:/ "$1/mnt"`);
      t.equal(absent.code, 32);
      t.match(absent.stderr, /no metadata server answers at 127\.0\.0\.1:1/);
    });
    t.test('the line that dfs mount --fstab writes mounts it', async t => {
      const { code, stdout, stderr } = await inNamespace(`
        : > /etc/fstab
        "$PROGRAMS/dfs" mount "dfs://\${SOURCE%:/}/" "$1/mnt" --read-only --goal 1 --fstab >&2
        cat /etc/fstab
        mount "$1/mnt"
        grep -o " $1/mnt fuse.dfs ro" /proc/self/mounts
        umount "$1/mnt"
      `);
      t.equal(code, 0, stdout + stderr);
      t.equal(
        stdout,
        `${env.SOURCE} ${base}/mnt dfs _netdev,x-systemd.automount,ro,goal=1 0 0\n ${base}/mnt fuse.dfs ro\n`,
      );
    });
  },
);
