import { resolve } from 'node:path';
import { canonicalMountPoint } from '../../fuse/mount-point.js';
import { findMount } from '../../fuse/mount-table.js';
import { DfsError } from '../../protocol/errors.js';
import { defineCommand } from '../command.js';
import { FailureTold } from '../failure-told.js';
import { MOUNT_SOURCE_PREFIX } from '../mounted-path.js';
import { unmountStored } from '../mount/unmount.js';

export const umount = defineCommand({
  name: 'umount',
  positionals: '<mountpoint>',
  summary: 'Unmount, and return when everything that was written is stored',
  declare: (yargs, call) =>
    yargs
      .positional('mountpoint', {
        type: 'string',
        demandOption: true,
        describe: 'where a DFS is mounted, by this user',
      })
      .example([[`${call} /mnt/dfs`, 'as umount(8) does where DFS is installed as a package']]),
  async run({ mountpoint }) {
    const mountPoint = await dfsMountPoint(resolve(mountpoint));
    const tell = (sentence: string): void => void process.stderr.write(`dfs umount: ${sentence}\n`);
    if ((await unmountStored(mountPoint, [], tell)) !== 0) throw new FailureTold();
  },
});

/** The place as the kernel's table shows it. ENOENT when it is no mount of DFS. */
async function dfsMountPoint(path: string): Promise<string> {
  const mountPoint = await canonicalMountPoint(path).catch(() => path);
  const mount = await findMount(mountPoint);
  if (mount?.source.startsWith(MOUNT_SOURCE_PREFIX) === true) return mountPoint;
  throw new DfsError('ENOENT', `no DFS is mounted at ${mountPoint}`);
}
