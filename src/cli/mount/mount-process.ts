/** The process that serves a mount: from connecting until an unmount or a signal. */
import { systemClock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { makeDirectories } from '../../platform/make-directories.js';
import type { Endpoint } from '../../platform/network.js';
import { allowGarbage } from '../../platform/garbage-allowance.js';
import { serveFirst } from '../../platform/priority.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import type { FuseDriver, FuseMount } from '../../fuse/driver.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { formatEndpoint } from '../address.js';
import { openFileSystem, type ClientSettings } from '../client-options.js';
import { accessAs } from '../member-access.js';
import { exportNote } from '../export-note.js';
import { onEndSignal, type EndSignal } from '../interruption.js';
import { dieOfUnexpectedErrors } from '../server-lifetime.js';
import { ServiceManager } from '../service-manager.js';

/** What passes through before the heap is looked through (platform/garbage-allowance.ts). */
const GARBAGE = { most: 64 << 20, least: 32 << 20 };

export interface MountProcessOptions {
  readonly server: Endpoint;
  /** Absolute. */
  readonly mountPoint: string;
  readonly driver: FuseDriver;
  readonly allowOther: boolean;
  /** As in FuseMountOptions. */
  readonly allowSuid: boolean;
  readonly allowDevices: boolean;
  readonly allowPrograms: boolean;
  readonly settings: ClientSettings;
  /** As in FuseMountOptions. */
  readonly busyPollMs: number;
  /** As in FuseMountOptions. */
  readonly keepsNames: boolean;
  /** How long the kernel may believe names, attributes and absent names, in milliseconds. */
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
  readonly negativeTimeoutMs: number;
  readonly log: Logger;
  /** Called once when the mount can be used, with what its user should know of it. */
  readonly onReady: (note: string | undefined) => void;
}

/**
 * Mounts, and resolves when the mount has ended and everything written to it is stored. Rejects when mounting fails,
 * or when what was written could not be stored.
 */
export async function runMount(options: MountProcessOptions): Promise<void> {
  const { log, mountPoint, server, driver } = options;
  dieOfUnexpectedErrors(log, endAtOnce);
  allowGarbage(GARBAGE);
  serveFirst(log);
  const signalled = new Promise<EndSignal>(resolve => onEndSignal(resolve, endAtOnce));
  // A directory that this process stands in could not be unmounted by others.
  process.chdir('/');
  await makeMountPoint(mountPoint);
  const { settings } = options;
  const access = accessAs(settings.role ?? 'client', { keyFile: settings.keyFile, log, metadata: server });
  const fileSystem = await openUnlessSignalled({ ...options, settings: { ...settings, access } }, signalled);
  access.keeper?.start();
  const manager = new ServiceManager();
  try {
    const mounted = await mountUnlessSignalled(fileSystem, options, signalled);
    if (!mounted) return;
    log.info({ mountPoint, server: formatEndpoint(server), driver: driver.name }, 'ready');
    const note = exportNote(fileSystem.rights);
    if (note !== undefined) log.info({ mountPoint }, note);
    options.onReady(note);
    await manager.ready();
    const signal = await Promise.race([signalled, mounted.unmounted]);
    await manager.stopping();
    if (signal) {
      log.info({ signal }, 'unmounting');
      await mounted.unmount();
    }
    log.info({ mountPoint }, 'unmounted');
  } finally {
    access.keeper?.close();
    await closeInOrder(fileSystem, options);
  }
  log.info('everything is stored');
}

/** umount(8) is over before: of what could not be stored the log tells, and the exit code of this process. */
async function closeInOrder(fileSystem: FileSystem, { log, mountPoint }: MountProcessOptions): Promise<void> {
  try {
    await fileSystem.close();
  } catch (error) {
    const reason = toDfsError(error);
    log.fatal(
      { mountPoint, reason: reason.message },
      'not everything that was written is stored, and it is lost',
    );
    throw reason.within('not everything that was written is stored');
  }
}

/**
 * exit(3) waits for threads, and those that read from /dev/fuse wait for the kernel: the process would neither end nor
 * serve its mount any more. Killed, it lets go of the device, and whoever waits for the mount gets an error.
 */
function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** EINTR when a signal comes before the server has answered. */
async function openUnlessSignalled(
  { server, settings, log, driver }: MountProcessOptions,
  signalled: Promise<EndSignal>,
): Promise<FileSystem> {
  const fileSystem = await Promise.race([openFileSystem('mount', server, settings, log), signalled]);
  if (typeof fileSystem === 'string') throw new DfsError('EINTR', 'interrupted before anything was mounted');
  // What root's mount does by itself, and by handle, is done for whoever may do it there.
  return driver.namesCallers && process.getuid?.() === 0 ? fileSystem.as(undefined) : fileSystem;
}

async function mountUnlessSignalled(
  fileSystem: FileSystem,
  options: MountProcessOptions,
  signalled: Promise<EndSignal>,
): Promise<FuseMount | undefined> {
  const mounting = options.driver.mount(fileSystem, {
    ...options,
    readOnly: options.settings.readOnly,
    atime: options.settings.atime ?? 'noatime',
    source: sourceOf(fileSystem, options),
    clock: systemClock,
  });
  const signal = await Promise.race([signalled, mounting]);
  if (typeof signal !== 'string') return signal;
  // Half a mount cannot be taken back; a whole one can.
  await (await mounting).unmount();
  return undefined;
}

/** What `mount` and `df` show, by which others find out what is mounted (mounted-path.ts). */
function sourceOf({ rights }: FileSystem, { server, settings }: MountProcessOptions): string {
  const names = settings.rootPath ?? rights?.path ?? [];
  const path = names.map(name => `/${Buffer.from(name).toString()}`).join('');
  return `dfs@${formatEndpoint(server)}${path === '' ? '' : `:${path}`}`;
}

async function makeMountPoint(path: string): Promise<void> {
  try {
    await makeDirectories(path);
  } catch (error) {
    // A mount whose daemon was killed answers ENOTCONN, and something that is no directory EEXIST: both are for the
    // driver, which looks at what is there.
    if (hasCode(error, 'EEXIST', 'ENOTCONN')) return;
    throw error;
  }
}
