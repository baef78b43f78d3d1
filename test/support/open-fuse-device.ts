/** Lets users open /dev/fuse, as is usual, and reach the clone, where this machine does not: for one test alone. */
import { spawnSync } from 'node:child_process';
import { IN_NAMESPACE, inClone, SHARED_CLONE } from './programs.js';

/**
 * A new mount namespace has a copy of every mount, and no file system ends while there is one: the mounts of the tests
 * that run at the same time are let go.
 */
export const LET_GO_OF_OTHERS = `
while read -r _ _ _ _ point _; do
  case "$point" in /tmp/dfs-*) umount -l "$point" 2>/dev/null || true ;; esac
done </proc/self/mountinfo`;

/**
 * The clone once more where everybody can reach it, should it lie in somebody's private directory; and the device again
 * with another mode, over the one that is there. In a mount namespace that ends with the test.
 */
const SCRIPT = `
set -e
${LET_GO_OF_OTHERS}
mount --bind "$CLONE" ${SHARED_CLONE}
mount -t tmpfs -o mode=755,size=64k tmpfs /mnt
mknod -m 666 /mnt/fuse c 10 229
mount --bind /mnt/fuse /dev/fuse
umount -l /mnt
exec "$@"`;

/**
 * Whether the test `path` is to go on in this process, which is in such a namespace. If not it has run by now, in a
 * process of its own that wrote to this one's output and whose exit code this one has.
 */
export function withOpenFuseDevice(path: string): boolean {
  if (process.env[IN_NAMESPACE] !== undefined) return true;
  const test = [process.execPath, ...process.execArgv, path];
  const { status } = spawnSync('unshare', ['-m', '--', 'sh', '-c', SCRIPT, 'sh', ...test], {
    stdio: 'inherit',
    env: { ...process.env, [IN_NAMESPACE]: '1', CLONE: inClone('') },
  });
  process.exitCode = status ?? 1;
  return false;
}
