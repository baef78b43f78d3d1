/** Which DFS a path on this machine is in. */
import { readFile, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseMountTable } from '../fuse/mount-table.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { parseMountSource, parseRemotePath, type RemotePath } from './address.js';

/** What `dfs mount` gives as the source of its mounts, before the server's address. */
export const MOUNT_SOURCE_PREFIX = 'dfs@';

/** `HOST:PORT:/path`, or a path in a mounted DFS. ENOENT; EINVAL for a path that is in none. */
export async function locate(path: string): Promise<RemotePath> {
  const remote = parseRemotePath(path);
  if (remote) return remote;
  const real = await realpath(path).catch((error: unknown) => {
    throw new DfsError(toDfsError(error).code, `${path}: ${toDfsError(error).message}`);
  });
  const table = parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
  const isIn = ({ mountPoint }: { readonly mountPoint: string }): boolean =>
    mountPoint === '/' || real === mountPoint || real.startsWith(`${mountPoint}/`);
  // The longest is the innermost; of several at one place the last covers the others.
  const [mount] = table
    .filter(isIn)
    .toReversed()
    .toSorted((a, b) => b.mountPoint.length - a.mountPoint.length);
  if (!mount?.source.startsWith(MOUNT_SOURCE_PREFIX)) {
    throw new DfsError('EINVAL', `${path} is not in a mounted DFS; give such a path, or HOST:PORT:/path`);
  }
  const { server, path: root } = parseMountSource(mount.source.slice(MOUNT_SOURCE_PREFIX.length));
  return { server, path: join(root, relative(mount.mountPoint, real)) };
}
