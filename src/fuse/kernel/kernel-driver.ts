/** Mounts by speaking the FUSE kernel protocol straight to /dev/fuse. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { isDoneWithin } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import type { FileSystem } from '../../vfs/file-system.js';
import {
  privilegeOptions,
  type FuseDriver,
  type FuseMount,
  type FuseMountOptions,
  type TakenMount,
  type TakenOver,
} from '../driver.js';
import {
  canonicalMountPoint,
  detachDead,
  prepareMountPoint,
  unmountOrDetach,
  unmountUnlessBusy,
} from '../mount-point.js';
import { findMount, type MountEntry } from '../mount-table.js';
import { hasFusermount, mountByFusermount } from './fusermount.js';
import { MAX_REQUEST_BYTES } from './init.js';
import { MountGuard } from './mount-guard.js';
import { FuseSession } from './session.js';

const DEVICE = '/dev/fuse';
/** The descriptor as the mount command sees it: the first after the standard three. */
const CHILD_FD = 3;
const ROOT_MODE = '40000';
/** How long the connection of an unmounted file system may take to end: its last pages are written. */
const GONE_MS = 5000;
const READ_AHEAD_KIB = 4096;

export const kernelDriver: FuseDriver = {
  name: 'kernel',
  namesCallers: true,
  limitations: [],

  async mount(fileSystem: FileSystem, given: FuseMountOptions): Promise<FuseMount> {
    const { log, clock, entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs, busyPollMs, keepsNames } = given;
    const mountPoint = await canonicalMountPoint(given.mountPoint);
    const options = { ...given, mountPoint };
    await prepareMountPoint(mountPoint, log);
    const fd = isRoot() ? await mountAsRoot(options) : await mountByFusermount(options);
    const entry = await findMount(mountPoint);
    const guard = entry && MountGuard.start(entry, log);
    const times = { entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs };
    let session: FuseSession;
    try {
      // The kernel's first requests wait until the session runs.
      session = await FuseSession.open({ fd, fileSystem, times, busyPollMs, keepsNames, clock, log });
    } catch (error) {
      closeSync(fd);
      if (entry) await detachDead(entry, log);
      guard?.end();
      throw error;
    }
    const mount = serve({ fd, session, entry, guard: () => guard, options });
    if (entry) await widenReadAhead(entry.deviceMinor, log);
    return mount;
  },

  async takeOver(fileSystem, given, taken, fd): Promise<TakenOver> {
    const { log, clock, entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs, busyPollMs, keepsNames } = given;
    requireFit(taken);
    const { mountPoint } = given;
    const entry = await findMount(mountPoint);
    const times = { entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs };
    const session = FuseSession.takeOver(
      { fd, fileSystem, times, busyPollMs, keepsNames, clock, log },
      taken,
    );
    return {
      serve() {
        // Not before: the guard of a successor that fails would unmount what its predecessor serves.
        const guard = (): MountGuard | undefined => entry && MountGuard.start(entry, log);
        const mount = serve({ fd, session, entry, guard, options: given });
        void session.beginKeeping();
        return mount;
      },
      async abandon() {
        await session.abandon();
        closeSync(fd);
      },
    };
  },
};

interface Served {
  readonly fd: number;
  readonly session: FuseSession;
  readonly entry: MountEntry | undefined;
  /** Called when the kernel is being answered. */
  readonly guard: () => MountGuard | undefined;
  readonly options: FuseMountOptions;
}

/** Answers the kernel until the mount ends. */
function serve({ fd, session, entry, guard: startGuard, options }: Served): FuseMount {
  const { mountPoint, clock, log } = options;
  const running = session.run();
  const guard = startGuard();
  const end = async (): Promise<void> => {
    await running;
    // umount -f ends the connection, and leaves the mount where it is while somebody uses it.
    if (entry) await detachDead(entry, log);
    guard?.end();
  };
  const unmounted = end();
  let allowKeeping: (() => void) | undefined;
  return {
    mountPoint,
    unmounted,
    async unmount() {
      if (await unmountUnlessBusy(mountPoint, clock)) {
        if (await isDoneWithin(clock, GONE_MS, unmounted)) return;
        // A process with mounts of its own (a container, unshare(1)) that was started meanwhile got a copy of ours.
        log.warn({ mountPoint }, 'the mount is still there in another mount namespace; cutting it off');
      } else {
        log.warn({ mountPoint }, 'somebody still uses the mount; cutting it off');
        await unmountOrDetach(mountPoint);
      }
      await session.cutOff();
      await unmounted;
    },
    handOver: {
      descriptor: fd,
      async prepare() {
        allowKeeping ??= await session.withhold();
      },
      pause: async patienceMs => await session.pause(patienceMs),
      state: () => session.state(),
      resume() {
        session.resume();
        allowKeeping?.();
        allowKeeping = undefined;
      },
      leave: () => guard?.end(),
    },
  };
}

/** EPROTO when the kernel was promised more than this build can do. */
function requireFit({ kernel: { init } }: TakenMount): void {
  if (init.maxWrite <= MAX_REQUEST_BYTES) return;
  throw new DfsError(
    'EPROTO',
    `the kernel may send ${init.maxWrite} bytes with a write, and this build takes ${MAX_REQUEST_BYTES}; unmount, and mount again`,
  );
}

/** Whether this driver can mount here: there is FUSE, and somebody who may mount. */
export function kernelDriverCanRun(): boolean {
  return process.platform === 'linux' && existsSync(DEVICE) && (isRoot() || hasFusermount());
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * The kernel reads 128 KiB ahead unless told otherwise, and takes no more than that from INIT (process_init_reply in
 * fs/fuse/inode.c). With less than several requests under way a sequential reader waits for each.
 */
async function widenReadAhead(deviceMinor: number, log: Logger): Promise<void> {
  try {
    await writeFile(`/sys/class/bdi/0:${deviceMinor}/read_ahead_kb`, String(READ_AHEAD_KIB));
  } catch (error) {
    // Without sysfs, as in some containers, reading is slower and right all the same.
    log.info({ reason: toDfsError(error).message }, "the kernel's read-ahead stays as it is");
  }
}

function openDevice(): number {
  try {
    return openSync(DEVICE, 'r+');
  } catch (error) {
    const reason = toDfsError(error);
    throw new DfsError(reason.code, `cannot open ${DEVICE}: ${reason.message}; is the fuse module loaded?`);
  }
}

/** Returns the descriptor of /dev/fuse that serves the mount. */
async function mountAsRoot(options: FuseMountOptions): Promise<number> {
  const fd = openDevice();
  try {
    await mountDevice(fd, options);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** mount(8) does the mount(2) that Node has not, with our descriptor as its fourth. */
async function mountDevice(fd: number, options: FuseMountOptions): Promise<void> {
  const mountOptions = [
    options.readOnly === true ? 'ro' : 'rw',
    `fd=${CHILD_FD}`,
    `rootmode=${ROOT_MODE}`,
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
    'default_permissions',
    options.atime,
    ...privilegeOptions(options),
    ...(options.allowOther ? ['allow_other'] : []),
    // For libmount alone, which tells systemd: a machine that goes down unmounts this before its servers and its network go.
    '_netdev',
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
