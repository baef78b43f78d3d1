/** Mounts by speaking the FUSE kernel protocol straight to /dev/fuse. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import type { FileSystem } from '../../vfs/file-system.js';
import type { FuseDriver, FuseMount, FuseMountOptions } from '../driver.js';
import { prepareMountPoint, unmountOrDetach } from '../mount-point.js';
import { FuseSession } from './session.js';

const DEVICE = '/dev/fuse';
/** The descriptor as the mount command sees it: the first after the standard three. */
const CHILD_FD = 3;
const ROOT_MODE = '40000';
const BUSY_MOUNT_MS = 2000;

export const kernelDriver: FuseDriver = {
  name: 'kernel',
  limitations: [],

  async mount(fileSystem: FileSystem, options: FuseMountOptions): Promise<FuseMount> {
    const { mountPoint, log, clock, entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs } = options;
    if (process.getuid?.() !== 0) {
      throw new DfsError('EPERM', 'only root can mount through the kernel driver; use --driver fuse-native');
    }
    await prepareMountPoint(mountPoint, log);
    const fd = openDevice();
    const times = { entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs };
    let session: FuseSession | undefined;
    try {
      session = await FuseSession.open({ fd, fileSystem, times, clock, log });
      await mountDevice(fd, options);
    } catch (error) {
      await session?.abandon();
      closeSync(fd);
      throw error;
    }
    const unmounted = session.run();
    return {
      mountPoint,
      unmounted,
      async unmount() {
        await unmountOrDetach(mountPoint, log);
        // A detached mount ends with its last user, for whom nobody who shuts down can wait.
        const deadline = new Promise<void>(resolve => {
          clock.setTimer(BUSY_MOUNT_MS, resolve, true);
        });
        await Promise.race([unmounted, deadline]);
      },
    };
  },
};

function openDevice(): number {
  try {
    return openSync(DEVICE, 'r+');
  } catch (error) {
    const reason = toDfsError(error);
    throw new DfsError(reason.code, `cannot open ${DEVICE}: ${reason.message}; is the fuse module loaded?`);
  }
}

/** mount(8) does the mount(2) that Node has not, with our descriptor as its fourth. */
async function mountDevice(fd: number, options: FuseMountOptions): Promise<void> {
  const mountOptions = [
    `fd=${CHILD_FD}`,
    `rootmode=${ROOT_MODE}`,
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
    'default_permissions',
    ...(options.allowOther ? ['allow_other'] : []),
  ].join(',');
  const parameters = ['-i', '-t', 'fuse.dfs', '-o', mountOptions, options.source, options.mountPoint];
  await new Promise<void>((resolve, reject) => {
    const child = spawn('mount', parameters, { stdio: ['ignore', 'ignore', 'pipe', fd] });
    const said: Buffer[] = [];
    child.stderr?.on('data', (data: Buffer) => said.push(data));
    child.once('error', error => reject(toDfsError(error).within('cannot run mount(8)')));
    child.once('close', code => {
      if (code === 0) resolve();
      else reject(new DfsError('ENODEV', `mount(8) failed: ${Buffer.concat(said).toString().trim()}`));
    });
  });
}
