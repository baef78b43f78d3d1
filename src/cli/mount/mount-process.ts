/** The process that serves a mount: from connecting until an unmount or a signal. */
import { isDoneWithin, systemClock } from '../../platform/clock.js';
import type { Logger, LogLevel } from '../../platform/log.js';
import { makeDirectories } from '../../platform/make-directories.js';
import type { Endpoint } from '../../platform/network.js';
import { allowGarbage } from '../../platform/garbage-allowance.js';
import { serveFirst } from '../../platform/priority.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import type { FuseDriver, FuseMount, FuseMountOptions, TakenOver } from '../../fuse/driver.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { formatEndpoint } from '../address.js';
import { openFileSystem, type ClientSettings } from '../client-options.js';
import { handOverRecord } from '../local/hand-over-record.js';
import { localPaths } from '../local/settings.js';
import { accessAs, type MemberAccess } from '../member-access.js';
import { exportNote } from '../export-note.js';
import { onEndSignal, type EndSignal } from '../interruption.js';
import { dieOfUnexpectedErrors } from '../server-lifetime.js';
import { EndWatchers } from './end-watchers.js';
import { HandOverOffer, type Successor } from './hand-over.js';
import { Succession } from './succession.js';
import { optionsOf, settingsOf, type MountProcessOptions } from './mount-settings.js';
import { ServiceManager } from '../service-manager.js';

/** What passes through before the heap is looked through (platform/garbage-allowance.ts). */
const GARBAGE = { most: 64 << 20, least: 32 << 20 };

/** How long a process that takes a mount over tries to reach the metadata server: less than the one that serves waits (STEP_MS). */
const OPEN_MS = 8000;

/**
 * Mounts, and resolves when the mount has ended and everything written to it is stored. Rejects when mounting fails,
 * or when what was written could not be stored.
 */
export async function runMount(options: MountProcessOptions): Promise<void> {
  const { log, mountPoint, server, settings } = options;
  prepareProcess(log);
  const signalled = new Promise<EndSignal>(resolve => onEndSignal(resolve, endAtOnce));
  await makeMountPoint(mountPoint);
  const access = accessAs(settings.role ?? 'client', { keyFile: settings.keyFile, log, metadata: server });
  const fileSystem = await openUnlessSignalled({ ...options, settings: { ...settings, access } }, signalled);
  await closedAfter(fileSystem, access, options, async watchers => {
    const mounted = await mountUnlessSignalled(fileSystem, options, signalled);
    return mounted
      ? await serveUntilEnd({ mounted, fileSystem, options, signalled, watchers })
      : 'interrupted';
  });
}

/**
 * Goes on with a mount that another process serves now, and resolves as `runMount`. Rejects when that is not possible: then the other one
 * goes on.
 */
export async function runTakeOver(
  given: Pick<MountProcessOptions, 'mountPoint' | 'driver' | 'log' | 'onReady'>,
  logLevel: LogLevel,
): Promise<void> {
  const { log } = given;
  prepareProcess(log);
  const succession = await Succession.begin(given.mountPoint, systemClock);
  const { mountPoint } = succession;
  const options = { ...optionsOf(succession.settings, logLevel), ...given, mountPoint };
  const { keyFile } = options.settings;
  const access = accessAs('client', { keyFile, log, metadata: options.server });
  const settings = { ...options.settings, access };
  const { fileSystem, taken } = await take(succession, { ...options, settings });
  const signalled = new Promise<EndSignal>(resolve => onEndSignal(resolve, endAtOnce));
  const mounted = taken.serve();
  await closedAfter(
    fileSystem,
    access,
    options,
    async watchers =>
      await serveUntilEnd({ mounted, fileSystem, options, signalled, watchers, predecessor: succession }),
  );
}

/** Does `work`, and then closes what it needs, whatever comes of it. */
async function closedAfter(
  fileSystem: FileSystem,
  { keeper }: MemberAccess,
  options: MountProcessOptions,
  work: (watchers: EndWatchers) => Promise<'unmounted' | 'handed over' | 'interrupted'>,
): Promise<void> {
  keeper?.start();
  const watchers = new EndWatchers();
  let how: string;
  try {
    how = await work(watchers);
  } finally {
    keeper?.close();
    await watchers.tellEnd(closeInOrder(fileSystem, options));
  }
  if (how === 'unmounted') options.log.info('everything is stored');
}

/** The mount is this process's when it resolves; when it rejects the other one goes on. */
async function take(
  succession: Succession,
  options: MountProcessOptions,
): Promise<{ readonly fileSystem: FileSystem; readonly taken: TakenOver }> {
  const { server, settings, driver, log } = options;
  const { takeOver } = driver;
  if (!takeOver) throw new DfsError('EOPNOTSUPP', `the driver ${driver.name} takes over no mounts`);
  const state = await succession.take();
  let fileSystem: FileSystem | undefined;
  let taken: TakenOver | undefined;
  try {
    const opened = await openInTime(server, { ...settings, taken: state.fileSystem }, log);
    fileSystem = servedBy(driver, opened);
    taken = await takeOver(fileSystem, fuseOptions(fileSystem, options), state, state.descriptor);
    await succession.commit();
    return { fileSystem, taken };
  } catch (error) {
    succession.close();
    await taken?.abandon();
    await fileSystem?.handOver?.leave();
    throw error;
  }
}

/** EBUSY when the server does not answer before the process that waits goes on: by then this one must have given up. */
async function openInTime(server: Endpoint, settings: ClientSettings, log: Logger): Promise<FileSystem> {
  const opening = openFileSystem('mount', server, settings, log);
  if (await isDoneWithin(systemClock, OPEN_MS, opening)) return await opening;
  void opening.then(async late => await late.handOver?.leave());
  throw new DfsError(
    'EBUSY',
    `the metadata server at ${formatEndpoint(server)} does not answer in time; try again`,
  );
}

function prepareProcess(log: Logger): void {
  dieOfUnexpectedErrors(log, endAtOnce);
  allowGarbage(GARBAGE);
  serveFirst(log);
  // A directory that this process stands in could not be unmounted by others.
  process.chdir('/');
}

interface Served {
  readonly mounted: FuseMount;
  readonly fileSystem: FileSystem;
  readonly options: MountProcessOptions;
  readonly signalled: Promise<EndSignal>;
  readonly watchers: EndWatchers;
  /** The process that served the mount before, and ends when this one does. */
  readonly predecessor?: Succession;
}

/** Until the mount ends, a signal comes, or another process has taken the mount over. */
async function serveUntilEnd({
  mounted,
  fileSystem,
  options,
  signalled,
  watchers,
  predecessor,
}: Served): Promise<'unmounted' | 'handed over'> {
  const { log, mountPoint, server, driver } = options;
  const manager = new ServiceManager();
  const offer = await HandOverOffer.begin({
    mounted,
    fileSystem: fileSystem.handOver,
    settings: settingsOf(options),
    watchers,
    clock: systemClock,
    log,
  });
  try {
    log.info({ mountPoint, server: formatEndpoint(server), driver: driver.name }, 'ready');
    const note = exportNote(fileSystem.rights);
    if (note !== undefined) log.info({ mountPoint }, note);
    options.onReady(note);
    await manager.ready(predecessor !== undefined);
    await predecessor?.serving();
    const end = await Promise.race([signalled, mounted.unmounted, offer.handedOver]);
    // A process that is taking the mount over has it first, or has not got it.
    const isHandedOver = typeof end === 'object' || (await offer.settled());
    if (isHandedOver) {
      await watchers.tell({ say: 'handed over' });
      await leave(await offer.handedOver, fileSystem, options);
      return 'handed over';
    }
    await manager.stopping();
    if (end) {
      log.info({ signal: end }, 'unmounting');
      await mounted.unmount();
    }
    log.info({ mountPoint }, 'unmounted');
    await watchers.tell({ say: 'unmounted' });
    return 'unmounted';
  } finally {
    offer.close();
  }
}

/** EIO when nobody serves the mount any more. */
async function leave(
  successor: Successor,
  fileSystem: FileSystem,
  { log, mountPoint }: MountProcessOptions,
): Promise<void> {
  await fileSystem.handOver?.leave();
  log.info({ mountPoint, successor: successor.process }, 'another process serves the mount');
  if (successor.isServing) {
    handOverRecord(localPaths().run, process.pid, successor.process, log);
    return;
  }
  throw new DfsError('EIO', `process ${successor.process} was given the mount, and has ended`);
}

/** Of what could not be stored the log tells, the exit code of this process, and umount(8) where it waits (umount-helper.ts). */
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
  return servedBy(driver, fileSystem);
}

/** A mount of root names the caller of each request. For what it asks on its own account it names nobody; the server decides who that may be. */
function servedBy({ namesCallers }: FuseDriver, fileSystem: FileSystem): FileSystem {
  return namesCallers && process.getuid?.() === 0 ? fileSystem.as(undefined) : fileSystem;
}

async function mountUnlessSignalled(
  fileSystem: FileSystem,
  options: MountProcessOptions,
  signalled: Promise<EndSignal>,
): Promise<FuseMount | undefined> {
  const mounting = options.driver.mount(fileSystem, fuseOptions(fileSystem, options));
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

function fuseOptions(fileSystem: FileSystem, options: MountProcessOptions): FuseMountOptions {
  const atime = options.settings.atime ?? 'noatime';
  const readOnly = options.settings.readOnly === true || fileSystem.rights?.readOnly === true;
  return { ...options, readOnly, atime, source: sourceOf(fileSystem, options), clock: systemClock };
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
