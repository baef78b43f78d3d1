/** umount(8) with its helper: it returns when everything is stored, and as umount(8) does otherwise. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { AS_OTHER_USER, whyNotOtherUser } from '../support/other-user.js';
import { inClone, inSharedClone, runFile } from '../support/programs.js';

/**
 * In a mount namespace of its own, so that the machine keeps its /usr/sbin, where mount(8) and umount(8) look for helpers, and what
 * libmount remembers. $1: a directory for all of it.
 */
const PREPARE = `
mount -t tmpfs none "$1/layer"
mkdir -p "$1/layer/upper" "$1/layer/work" "$1/layer/run"
mount -t overlay none -o "lowerdir=/usr/sbin,upperdir=$1/layer/upper,workdir=$1/layer/work" /usr/sbin
mkdir -p /run/mount
mount --bind "$1/layer/run" /run/mount
ln -s "$PROGRAMS/mount.dfs" "$PROGRAMS/umount.fuse.dfs" /usr/sbin
base="$1"
mnt="$1/mnt"
mount_dfs() { mount -t dfs "$SOURCE" "$mnt" -o "goal=1,\${1:-rw}"; }
# What is changed below it from then on is acknowledged before the server knows.
begin_directory() { mkdir "$mnt/$1"; echo first > "$mnt/$1/0"; }
# The daemon, whose command line names the mount point.
daemon() { pgrep -f "bin/dfs mount .* $mnt " || true; }
until_true() {
  for _ in $(seq 500); do
    if eval "$1"; then return 0; fi
    sleep 0.02
  done
  echo "it does not become true: $1"
  exit 1
}
is_mounted() { grep -q " $mnt " /proc/self/mountinfo; }
`;

t.test(
  'umount with its helper',
  { skip: process.getuid?.() === 0 ? false : 'only root mounts by mount(8)' },
  async t => {
    const cluster = await startCluster(t, { dataNodes: 1, goal: 1 });
    const base = join(cluster.directory, 'helper');
    for (const each of ['layer', 'mnt']) await mkdir(join(base, each), { recursive: true });
    await chmod(cluster.directory, 0o755);
    await writeFile(join(base, 'prepare.sh'), PREPARE);
    const env = {
      ...cluster.environment,
      NODE_OPTIONS: undefined,
      LC_ALL: 'C',
      PROGRAMS: inClone('bin'),
      SOURCE: `${cluster.metadata.address}:/`,
      METADATA: String(cluster.metadata.pid),
    };
    const inNamespace = async (script: string) => {
      const all = `. "$1/prepare.sh"\n${script}`;
      return await runFile('unshare', ['-m', 'bash', '-euo', 'pipefail', '-c', all, 'bash', base], { env });
    };

    t.test('it waits for a server that is away, and everything is stored', async t => {
      const { code, stdout, stderr } = await inNamespace(`
        mount_dfs timeout=30
        begin_directory own
        kill -STOP "$METADATA"
        trap 'kill -CONT "$METADATA"' EXIT
        for i in $(seq 20); do echo "content $i" > "$mnt/own/$i"; done
        umount "$mnt" 2> "$base/said" &
        umount=$!
        until_true 'grep -q "is unmounted; waiting until everything" "$base/said"'
        kill -0 $umount
        ! is_mounted
        kill -CONT "$METADATA"
        wait $umount
        daemon
        cat /run/mount/utab
        mount_dfs
        cat "$mnt/own/"* | sort -V
        umount "$mnt"
        daemon
      `);
      t.equal(code, 0, stdout + stderr);
      t.equal(
        stdout,
        `${Array.from({ length: 20 }, (_, index) => `content ${index + 1}\n`).join('')}first\n`,
        'no daemon is left when it returns, nothing in utab, and everything is there',
      );
    });

    t.test('umount -l returns at once, and the daemon stores everything all the same', async t => {
      const { code, stdout, stderr } = await inNamespace(`
        mount_dfs timeout=30
        begin_directory lazy
        kill -STOP "$METADATA"
        trap 'kill -CONT "$METADATA"' EXIT
        echo lazily > "$mnt/lazy/file"
        umount -l "$mnt"
        ! is_mounted
        test -n "$(daemon)"
        kill -CONT "$METADATA"
        until_true 'test -z "$(daemon)"'
        mount_dfs
        cat "$mnt/lazy/file"
        umount "$mnt"
      `);
      t.equal(code, 0, stdout + stderr);
      t.equal(stdout, 'lazily\n');
    });

    t.test('what is in use, what is mounted twice, and dfs umount', async t => {
      const { code, stdout, stderr } = await inNamespace(`
        mount_dfs
        mkdir "$mnt/used"
        (cd "$mnt/used" && { umount "$mnt" || echo "exit code $?"; } && echo more > file)
        mkdir "$base/bound"
        mount --bind "$mnt/used" "$base/bound"
        umount "$base/bound"
        cat "$mnt/used/file"
        unshare -m sh -c 'touch "$1/copied"; exec sleep 30' sh "$base" &
        copy=$!
        until_true 'test -e "$base/copied"'
        umount "$mnt"
        ! is_mounted
        test -n "$(daemon)"
        kill $copy
        until_true 'test -z "$(daemon)"'
        mount_dfs
        "$PROGRAMS/dfs" umount "$mnt"
        daemon
        "$PROGRAMS/dfs" umount "$mnt" || echo "exit code $?"
      `);
      t.equal(code, 0, stdout + stderr);
      t.equal(stdout, 'exit code 32\nmore\nexit code 1\n');
      t.match(stderr, /umount: .*: target is busy/);
      t.match(stderr, /is unmounted here, and goes on elsewhere/);
      t.match(stderr, /dfs umount: no DFS is mounted at/);
    });

    t.test('another user may not', { skip: (await whyNotOtherUser()) ?? false }, async t => {
      const { code, stdout, stderr } = await inNamespace(`
        mount_dfs
        as_other="${AS_OTHER_USER.join(' ')}"
        $as_other umount "$mnt" || echo "exit code $?"
        $as_other "${inSharedClone('bin/umount.fuse.dfs')}" "$mnt" || echo "exit code $?"
        is_mounted
        umount "$mnt"
      `);
      t.equal(code, 0, stdout + stderr);
      t.equal(stdout, 'exit code 32\nexit code 32\n');
      t.match(stderr, /was mounted by the user with the id 0; unmount it as that user, or as root/);
    });

    t.test('it says that nobody has stored what was written', async t => {
      const { code, stdout, stderr } = await inNamespace(`
        mount_dfs timeout=30
        begin_directory lost
        kill -STOP "$METADATA"
        trap 'kill -CONT "$METADATA"' EXIT
        echo lost > "$mnt/lost/file"
        umount "$mnt" &
        umount=$!
        until_true '! is_mounted'
        kill -KILL "$(daemon)"
        wait $umount || echo "exit code $?"
      `);
      t.equal(code, 0, stdout + stderr);
      t.equal(stdout, 'exit code 32\n');
      t.match(
        stderr,
        /^umount\.fuse\.dfs: .* is unmounted: not known whether everything that was written is stored: /m,
      );
    });
  },
);
