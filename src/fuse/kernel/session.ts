/** The conversation with the kernel on one mount: INIT, then requests until the mount ends. */
import { writeSync } from 'node:fs';
import type { Logger } from '../../platform/log.js';
import { assert, DfsError, ERRNO, hasCode, toDfsError } from '../../protocol/errors.js';
import type { KernelState } from '../../protocol/take-over.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { isDoneWithin, sleep, type Clock } from '../../platform/clock.js';
import { Loans } from '../../platform/loans.js';
import type { TakenMount } from '../driver.js';
import { FuseDevice, type DeviceRequest } from './device.js';
import { MAX_REQUEST_BYTES, meaningOf, negotiate } from './init.js';
import { KernelCache } from './kernel-cache.js';
import { FuseRequests } from './requests.js';
import { fuseForgetIn, fuseInterruptIn, fuseRenameIn, fuseWriteIn } from './structs.js';
import {
  decodeHeader,
  FUSE_KERNEL_VERSION,
  Opcode,
  readForgets,
  requireInode,
  type CacheTimes,
  type RequestHeader,
} from './wire.js';

/** Reads waiting in the kernel; measured: more do not make anything faster, fewer make parallel readers slower. */
const READERS = 3;
/** How long after a failure the kernel's caches are asked for again. */
const KEEPING_RETRY_MS = 1000;
/** Why a request that waits for a lock is ended: it is done anew later, by this process or its successor. */
const SET_ASIDE = new DfsError('EINTR', 'the request is set aside');

export interface FuseSessionOptions {
  readonly fd: number;
  readonly fileSystem: FileSystem;
  readonly times: CacheTimes;
  readonly busyPollMs: number;
  readonly keepsNames: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class FuseSession {
  readonly #device: FuseDevice;
  readonly #cache: KernelCache;
  readonly #requests: FuseRequests;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** What was agreed on with the kernel. */
  #agreed: KernelState['init'] | undefined;
  /** Requests that wait for locks, and that this process does not answer while it is paused. */
  #aside: Buffer[] = [];
  /** Told when no request is under way. */
  #onIdle: (() => void) | undefined;
  #isCutOff = false;
  #hasEnded = false;
  /** Number of a request under way → what stops it, if it can be stopped */
  readonly #underWay = new Map<bigint, AbortController | undefined>();
  /** Those of them that do not wait for other processes. */
  #beingDone = 0;

  private constructor(options: FuseSessionOptions, cache: KernelCache) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#cache = cache;
    this.#requests = new FuseRequests(options.fileSystem, cache, options.log);
    this.#device = new FuseDevice({
      fd: options.fd,
      requestBytes: fuseWriteIn.end + MAX_REQUEST_BYTES,
      readers: READERS,
      busyPollMs: options.busyPollMs,
      log: options.log,
      onRequest: request => this.#take(request),
    });
  }

  /**
   * Makes ready for a mount: the kernel's caches get their lease. Rejects as a request to the file system does.
   */
  static async open(options: FuseSessionOptions): Promise<FuseSession> {
    const { fd, log } = options;
    const cache = await KernelCache.open({ ...options, writeNow: message => writeNow(fd, message, log) });
    return new FuseSession(options, cache);
  }

  /** Makes ready for a mount that an earlier process has served, whose kernel may keep nothing at first. */
  static takeOver(options: FuseSessionOptions, taken: TakenMount): FuseSession {
    const { fd, log } = options;
    const cacheOptions = { ...options, writeNow: (message: Buffer) => writeNow(fd, message, log) };
    const session = new FuseSession(options, KernelCache.takeOver(cacheOptions, taken));
    session.#agree(taken.kernel.init);
    session.#requests.restore(taken.kernel);
    session.#aside = taken.kernel.waiting.map(request => Buffer.from(request));
    return session;
  }

  /** Answers the kernel until the mount ends, then gives the descriptor back. */
  async run(): Promise<void> {
    const ended = this.#device.run();
    this.#takeAside();
    await ended;
    this.#hasEnded = true;
    await this.#cache.close();
    await this.#device.close();
  }

  /**
   * Ends the connection whoever still uses the mount, so that `run` resolves. Requests fail from now on.
   */
  async cutOff(): Promise<void> {
    this.#isCutOff = true;
    // Notifications may wait for requests, so these are answered until there are none of those.
    await this.#cache.close();
    this.#device.stop();
  }

  /** The kernel drops what it keeps of the mount, and may keep nothing from now on. Returns what allows it again. */
  async withhold(): Promise<() => void> {
    return await this.#cache.withhold();
  }

  /**
   * The kernel may keep what it is told as soon as the file system says so, which is tried until it does, or the mount has ended.
   * For after `takeOver`. Never rejects.
   */
  async beginKeeping(): Promise<void> {
    while (!this.#hasEnded) {
      try {
        await this.#cache.begin();
        return;
      } catch (error) {
        const reason = toDfsError(error).message;
        this.#log.warn({ reason }, 'the kernel keeps nothing of the mount until the metadata server is back');
        await sleep(this.#clock, KEEPING_RETRY_MS);
      }
    }
  }

  /** Gives back what was made for a mount that is not served; its descriptor is the caller's. */
  async abandon(): Promise<void> {
    await this.#cache.close();
  }

  /**
   * Takes no more requests, which wait in the kernel, and resolves when those are answered that were taken. Only those that wait
   * for locks stay, which a successor does anew.
   * @throws EBUSY when that takes longer than `patienceMs`, and EOPNOTSUPP where requests are read by threads; it goes on then
   */
  async pause(patienceMs: number): Promise<void> {
    if (!this.#device.pause())
      throw new DfsError('EOPNOTSUPP', 'this mount reads requests by threads, and cannot be handed over');
    for (const stop of this.#underWay.values()) stop?.abort(SET_ASIDE);
    const idle = new Promise<void>(resolve => (this.#onIdle = resolve));
    this.#noteIdle();
    if (await isDoneWithin(this.#clock, patienceMs, idle)) return;
    this.resume();
    throw new DfsError('EBUSY', 'requests of programs wait for servers; try again when these answer');
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#onIdle = undefined;
    this.#device.resume();
    this.#takeAside();
  }

  /** What a successor has to know; while this one is paused, and after `withhold`. */
  state(): TakenMount {
    assert(
      this.#agreed !== undefined && this.#underWay.size === 0,
      'a mount is handed over when it stands still',
    );
    const { inodes, ...cache } = this.#cache.state();
    const waiting = [...this.#aside];
    return { kernel: { init: this.#agreed, waiting, ...cache, ...this.#requests.state() }, inodes };
  }

  #noteIdle(): void {
    if (this.#underWay.size === 0) this.#onIdle?.();
  }

  #takeAside(): void {
    for (const bytes of this.#aside.splice(0)) this.#take({ bytes, release: () => undefined });
  }

  /** Every request gets an answer, if only an errno. Never throws. */
  #take(request: DeviceRequest): void {
    const header = this.#headerOf(request);
    if (!header) return;
    if (this.#answerNow(header, request.bytes)) {
      request.release();
      this.#goOn();
    } else {
      void this.#answerLater(header, request);
    }
  }

  /** Answers what can be answered at once; returns whether that was done. Never throws. */
  #answerNow(header: RequestHeader, bytes: Buffer): boolean {
    if (this.#isCutOff || !Number.isSafeInteger(header.inode)) return false;
    try {
      const answer = this.#requests.immediate.answer(header, bytes);
      if (answer === undefined) return false;
      if (typeof answer === 'number') this.#device.reply(header.unique, answer, []);
      else this.#device.reply(header.unique, 0, answer);
    } catch (error) {
      this.#refuse(header, error);
    }
    return true;
  }

  #refuse({ unique, opcode }: RequestHeader, error: unknown): void {
    if (!(error instanceof DfsError)) this.#log.error({ err: error, opcode }, 'request failed');
    this.#device.reply(unique, toDfsError(error).errno, []);
  }

  /** A request was answered. */
  #goOn(): void {
    this.#noteIdle();
    if (this.#beingDone === 0) this.#device.lookForMore();
  }

  /** Never rejects. */
  async #answerLater(header: RequestHeader, request: DeviceRequest): Promise<void> {
    // Waiting for a lock may take days, and many may: that must not keep a request's memory.
    const waits = header.opcode === Opcode.setlk || header.opcode === Opcode.setlkw;
    const bytes = waits ? Buffer.from(request.bytes) : request.bytes;
    if (waits) request.release();
    const stop = waits ? new AbortController() : undefined;
    try {
      switch (header.opcode) {
        case Opcode.forget:
          this.#cache.forget(header.inode, fuseForgetIn.body(bytes).nlookup);
          return;
        case Opcode.batchForget:
          for (const { inode, lookups } of readForgets(bytes)) this.#cache.forget(inode, lookups);
          return;
        case Opcode.interrupt:
          this.#interrupt(header.unique, fuseInterruptIn.body(bytes).unique);
          return;
        case Opcode.setlk:
        case Opcode.setlkw:
          await this.#answer(header, bytes, stop);
          return;
        case Opcode.init:
          this.#device.reply(header.unique, 0, [this.#init(bytes)]);
          return;
        case Opcode.destroy:
          this.#device.reply(header.unique, 0, []);
          return;
        default:
          await this.#answer(header, bytes);
      }
    } catch (error) {
      if (stop?.signal.reason === SET_ASIDE && hasCode(error, 'EINTR')) {
        this.#aside.push(bytes);
        return;
      }
      this.#refuse(header, error);
    } finally {
      if (!waits) request.release();
      this.#goOn();
    }
  }

  /** Undefined, and the request given back, for bytes that are no request: whose answer would that be? */
  #headerOf(request: DeviceRequest): RequestHeader | undefined {
    try {
      return decodeHeader(request.bytes);
    } catch (error) {
      this.#log.error({ err: error }, 'the kernel sent something that is no request');
      request.release();
      return undefined;
    }
  }

  async #answer(header: RequestHeader, bytes: Buffer, stop?: AbortController): Promise<void> {
    if (this.#isCutOff) throw new DfsError('EIO', 'the mount is being taken away');
    const handler = this.#requests.handlers.get(header.opcode);
    if (!handler) throw new DfsError('ENOSYS', `FUSE request ${header.opcode} is not known here`);
    requireInode(header);
    this.#underWay.set(header.unique, stop);
    if (!stop) this.#beingDone += 1;
    const locked = lockedDirectories(header, bytes);
    const isChange = !READING.has(header.opcode);
    const loans = header.opcode === Opcode.read ? new Loans() : undefined;
    for (const directory of locked) {
      this.#cache.enter(directory);
      if (isChange) this.#cache.listingChanges(directory);
    }
    try {
      const payload = await handler(header, bytes, stop?.signal, loans);
      if (loans) await this.#device.replyWhole(header.unique, payload);
      else this.#device.reply(header.unique, 0, payload);
    } finally {
      loans?.end();
      for (const directory of locked) {
        this.#cache.leave(directory);
        if (isChange) this.#cache.listingChanges(directory);
      }
      this.#underWay.delete(header.unique);
      if (!stop) this.#beingDone -= 1;
    }
  }

  /**
   * A signal came for the process that waits for a request. Only those stop that wait for other processes; the rest end
   * by themselves. One that is not known here is done, or was read by another reader and is about to come: for EAGAIN
   * the kernel sends the interrupt again if the request is still waiting (Documentation/filesystems/fuse).
   */
  #interrupt(unique: bigint, interrupted: bigint): void {
    if (this.#underWay.has(interrupted)) this.#underWay.get(interrupted)?.abort();
    else this.#device.reply(unique, ERRNO.EAGAIN, []);
  }

  #init(bytes: Buffer): Buffer {
    const { minor, flags, flags2, answer } = negotiate(bytes);
    this.#agree({ minor, flags, flags2, maxWrite: MAX_REQUEST_BYTES });
    this.#log.info({ kernel: `${FUSE_KERNEL_VERSION}.${minor}`, flags }, 'the kernel mounted us');
    return answer;
  }

  #agree(init: KernelState['init']): void {
    this.#agreed = init;
    const { minor, mayBypassPages, hasLongSetxattr } = meaningOf(init);
    this.#cache.kernelMinor = minor;
    this.#cache.mayBypassPages = mayBypassPages;
    this.#requests.hasLongSetxattr = hasLongSetxattr;
  }
}

/** Requests during which the kernel may hold the lock of the directory that they are about. */
const LOCKING: ReadonlySet<number> = new Set([
  Opcode.lookup,
  Opcode.symlink,
  Opcode.mknod,
  Opcode.mkdir,
  Opcode.unlink,
  Opcode.rmdir,
  Opcode.link,
  Opcode.create,
  Opcode.readdir,
  Opcode.readdirplus,
]);
/** Those of them that change nothing. */
const READING: ReadonlySet<number> = new Set([Opcode.lookup, Opcode.readdir, Opcode.readdirplus]);
const NO_DIRECTORIES: readonly number[] = [];

function lockedDirectories({ opcode, inode }: RequestHeader, bytes: Buffer): readonly number[] {
  if (LOCKING.has(opcode)) return [inode];
  // fuse_rename_in and fuse_rename2_in begin with the other directory.
  if (opcode === Opcode.rename || opcode === Opcode.rename2) {
    return [inode, fuseRenameIn.body(bytes).newdir];
  }
  return NO_DIRECTORIES;
}

/** Writes a notification that never waits. */
function writeNow(fd: number, message: Buffer, log: Logger): void {
  try {
    writeSync(fd, message);
  } catch (error) {
    // Not mounted yet, or not any more: then there is nothing to drop.
    if (!hasCode(error, 'ENODEV', 'EPERM', 'EBADF', 'ENOTCONN')) {
      log.error({ err: error }, 'the kernel did not take a notification');
    }
  }
}
