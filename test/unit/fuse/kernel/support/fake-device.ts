/**
 * What the kernel is to a driver, without a mount: one end of a pair of sockets stands for /dev/fuse, and the test has the
 * other. A message is one request, answer or notification, as each read and write of the device is.
 */
import { closeSync, read as readCallback, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import koffi from 'koffi';
import type { Test } from 'tap';
import type { TakenMount } from '../../../../../src/fuse/driver.js';
import { FuseSession } from '../../../../../src/fuse/kernel/session.js';
import { fuseInHeader, fuseInitIn, fuseOutHeader } from '../../../../../src/fuse/kernel/structs.js';
import { FUSE_KERNEL_VERSION, InitFlag, Opcode } from '../../../../../src/fuse/kernel/wire.js';
import { systemClock } from '../../../../../src/platform/clock.js';
import { openSocketPair } from '../../../../../src/platform/descriptor-passing.js';
import { createLogger, type Logger } from '../../../../../src/platform/log.js';
import { ERRNO } from '../../../../../src/protocol/errors.js';
import type { FileSystem } from '../../../../../src/vfs/file-system.js';

/** shutdown(2): the other end reads that nothing comes any more. */
const shutdown = koffi.load(null).func('int shutdown(int socket, int how)');
const SHUT_WR = 1;
const readMessage = promisify(readCallback);
const MAX_MESSAGE_BYTES = 2 << 20;
/** A kernel that may keep names (FUSE_NOTIFY_INC_EPOCH). */
const MINOR = 44;

/** An answer, as its errno's name (OK for none) and what comes after its header. */
export interface Answer {
  readonly code: string;
  readonly body: Buffer;
}

export interface Notification {
  readonly code: number;
  readonly body: Buffer;
}

export interface Requester {
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
}

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ERRNO).map(([name, value]) => [value, name]),
);

export class FakeDevice {
  readonly #fd: number;
  /** The driver's end. */
  readonly #driverFd: number;
  /** Resolves when the session that serves has ended. */
  #ended: Promise<void> = Promise.resolve();
  #unique = 2n;
  /** Number of a request → who waits for its answer */
  readonly #waiting = new Map<bigint, (answer: Answer) => void>();
  /** Every notification so far. */
  readonly told: Notification[] = [];
  /** Called with each notification. */
  readonly #listeners = new Set<(notification: Notification) => void>();

  private constructor(fd: number, driverFd: number) {
    this.#fd = fd;
    this.#driverFd = driverFd;
  }

  /** A session that serves `fileSystem` to the fake kernel, after INIT; ended with the test. */
  static async mount(t: Test, fileSystem: FileSystem, log: Logger = createLogger('test', 'silent')) {
    const pair = openSocketPair('messages');
    const device = new FakeDevice(pair.ours, pair.theirs);
    const session = await FuseSession.open(device.#options(fileSystem, log));
    device.#ended = session.run();
    const reading = device.#read();
    t.teardown(async () => {
      // As umount(8) does: DESTROY, and then the device is at its end.
      await device.#end();
      await device.#ended;
      await reading;
      closeSync(pair.ours);
    });
    return { device, session };
  }

  /** A session that goes on with what another one has left, in its place. */
  takeOver(fileSystem: FileSystem, taken: TakenMount): FuseSession {
    const session = FuseSession.takeOver(this.#options(fileSystem, createLogger('test', 'silent')), taken);
    this.#ended = session.run();
    return session;
  }

  #options(fileSystem: FileSystem, log: Logger) {
    const times = { entryTimeoutMs: 0, attrTimeoutMs: 0, negativeTimeoutMs: 0 };
    const manner = { times, busyPollMs: 0, keepsNames: true };
    return { fd: this.#driverFd, fileSystem, ...manner, clock: systemClock, log };
  }

  /** INIT, as a kernel of version 7.44 sends it. */
  async init(flags = 0xffff_ffff, minor = MINOR, major = FUSE_KERNEL_VERSION): Promise<Answer> {
    const body = fuseInitIn.encode({ major, minor, maxReadahead: 131_072, flags, flags2: 0xffff_ffff });
    // Kernels before 7.36 send less.
    const sent = (flags & InitFlag.more) === 0 ? body.subarray(0, 16) : body;
    return await this.ask(Opcode.init, 0, sent);
  }

  /** Sends a request, and waits for its answer. */
  async ask(
    opcode: number,
    inode: number,
    body: Uint8Array = new Uint8Array(),
    by: Requester = {},
  ): Promise<Answer> {
    return await this.begin(opcode, inode, body, by).answer;
  }

  /** Sends a request; `unique` is its number, by which it can be interrupted. */
  begin(opcode: number, inode: number, body: Uint8Array = new Uint8Array(), by: Requester = {}) {
    const unique = this.#unique;
    this.#unique += 2n;
    const answer = new Promise<Answer>(resolve => this.#waiting.set(unique, resolve));
    this.send(opcode, inode, body, by, unique);
    return { unique, answer };
  }

  /** Sends a request that is not answered, or whose answer nobody waits for. */
  send(
    opcode: number,
    inode: number,
    body: Uint8Array = new Uint8Array(),
    by: Requester = {},
    unique = 0n,
  ): void {
    const { uid = 0, gid = 0, pid = process.pid } = by;
    const len = fuseInHeader.bytes + body.length;
    const request = fuseInHeader.encode({ len, opcode, unique, nodeid: inode, uid, gid, pid }, body.length);
    request.set(body, fuseInHeader.bytes);
    this.sendBytes(request);
  }

  /** Sends bytes that need be no request. */
  sendBytes(bytes: Uint8Array): void {
    writeSync(this.#fd, bytes);
  }

  /** A notification that was told, or will be. */
  async notification(isWanted: (notification: Notification) => boolean): Promise<Notification> {
    const found = this.told.find(each => isWanted(each));
    if (found) return found;
    return await new Promise(resolve => {
      const listener = (told: Notification): void => {
        if (!isWanted(told)) return;
        this.#listeners.delete(listener);
        resolve(told);
      };
      this.#listeners.add(listener);
    });
  }

  async #end(): Promise<void> {
    await this.ask(Opcode.destroy, 0);
    // What the other end still writes is taken until it closes.
    shutdown(this.#fd, SHUT_WR);
  }

  async #read(): Promise<void> {
    const buffer = Buffer.alloc(MAX_MESSAGE_BYTES);
    for (;;) {
      const { bytesRead } = await readMessage(this.#fd, buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      this.#take(Buffer.from(buffer.subarray(0, bytesRead)));
    }
  }

  #take(message: Buffer): void {
    const { error, unique } = fuseOutHeader.view(message, 0);
    const body = message.subarray(fuseOutHeader.bytes);
    if (unique === 0n) {
      const notification = { code: error, body };
      this.told.push(notification);
      for (const listener of this.#listeners) listener(notification);
      return;
    }
    this.#waiting.get(unique)?.({
      code: error === 0 ? 'OK' : (ERRNO_NAMES.get(-error) ?? String(error)),
      body,
    });
    this.#waiting.delete(unique);
  }
}

/** The bytes of a structure, followed by names that each end with a NUL. */
export function withNames(struct: Uint8Array, ...names: readonly string[]): Buffer {
  return Buffer.concat([struct, ...names.map(name => Buffer.from(`${name}\0`))]);
}
