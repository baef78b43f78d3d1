/** Lets users open /dev/fuse, as is usual, where this machine does not: for one test alone. */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';

const DEVICE = '/dev/fuse';
const EVERYBODY = 0o006;
const INNER = 'DFS_TEST_IN_NAMESPACE';
/** The device again with another mode, over the one that is there, in a mount namespace that ends with the test. */
const SCRIPT = `
set -e
mount -t tmpfs -o mode=755,size=64k tmpfs /mnt
mknod -m 666 /mnt/fuse c 10 229
mount --bind /mnt/fuse /dev/fuse
umount -l /mnt
exec "$@"`;

/**
 * Whether the test `path` is to go on in this process. If users may not open /dev/fuse it has run by now, in a process
 * of its own that wrote to this one's output and whose exit code this one has.
 */
export function withOpenFuseDevice(path: string): boolean {
  if ((statSync(DEVICE).mode & EVERYBODY) === EVERYBODY || process.env[INNER] !== undefined) return true;
  const test = [process.execPath, ...process.execArgv, path];
  const { status } = spawnSync('unshare', ['-m', '--', 'sh', '-c', SCRIPT, 'sh', ...test], {
    stdio: 'inherit',
    env: { ...process.env, [INNER]: '1' },
  });
  process.exitCode = status ?? 1;
  return false;
}
