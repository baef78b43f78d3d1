/**
 * The program of the subject `null`: `node null-mount-driver.js MOUNTPOINT` mounts the null file system by the kernel
 * driver of DFS. What is in it outlives umount(8), after which it mounts itself again; SIGTERM ends it.
 */
import { DEFAULT_BUSY_POLL_MS } from '../../../src/fuse/driver.js';
import { onEndSignal } from '../../../src/cli/interruption.js';
import { kernelDriver } from '../../../src/fuse/kernel/kernel-driver.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { MemoryFileSystem } from './memory-file-system.js';

const log = createLogger('null', 'info');
const [mountPoint = ''] = process.argv.slice(2);
const fileSystem = new MemoryFileSystem();
const ended = new Promise<'ended'>(resolve => onEndSignal(() => resolve('ended')));

// Between two mounts nothing else would keep this process alive.
setInterval(() => undefined, 60_000);

for (let isOver = false; !isOver;) {
  const mount = await kernelDriver.mount(fileSystem, {
    mountPoint,
    source: 'null',
    allowOther: process.getuid?.() === 0,
    allowSuid: false,
    allowDevices: false,
    busyPollMs: DEFAULT_BUSY_POLL_MS,
    atime: 'noatime',
    keepsNames: true,
    entryTimeoutMs: 0,
    attrTimeoutMs: 0,
    negativeTimeoutMs: 0,
    clock: systemClock,
    log,
  });
  log.info({ mountPoint }, 'ready');
  isOver = (await Promise.race([ended, mount.unmounted])) === 'ended';
  if (isOver) await mount.unmount();
}
process.exit(0);
