/**
 * The descriptor of /dev/fuse. The event loop itself waits for it where it can; elsewhere several reads wait in the kernel
 * at once, on threads, which costs two switches of threads more for each request. Answers are written at once, since
 * writing to the device only copies and never waits; long ones by a thread, since the pages that they are copied to may be touched
 * for the first time, which takes longer than all else of a read.
 */
import {
  closeSync,
  read as readCallback,
  readSync,
  writeSync,
  writev as writevCallback,
  writevSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { emptyDescriptor } from '../../platform/blocked-reads.js';
import { payloadBytes } from '../../platform/payload.js';
import { RequestMemory } from '../../platform/request-memory.js';
import { ReadableDescriptor } from '../../platform/readable-descriptor.js';
import type { Logger } from '../../platform/log.js';
import { ERRNO, hasCode } from '../../protocol/errors.js';
import type { Payload } from '../../protocol/frame.js';
import { BusyPoll } from './busy-poll.js';
import { fuseOutHeader, fuseWriteIn } from './structs.js';

const readDevice = promisify(readCallback);
const writeDevice = promisify(writevCallback);
/** As many as written data may have kept (DEFAULT_DIRTY_BYTES in vfs/vfs-options.ts), in MiB. */
const MAX_FREE_BUFFERS = 32;
/** Answers up to this size are written in one piece, which costs less than to name several to the kernel. */
const SMALL_ANSWER_BYTES = 1024;
/** From this length on an answer's copy takes longer than to hand it to a thread. */
const LONG_ANSWER_BYTES = 128 << 10;
/** writev(2) takes no more pieces (limits.h). */
const IOV_MAX = 1024;

/** A request in memory that belongs to its handler until `release` is called; what a WRITE brings may be kept longer (`keepBody`). */
export interface DeviceRequest {
  readonly bytes: Buffer;
  release(): void;
}

export interface DeviceOptions {
  readonly fd: number;
  /** The largest request: a WRITE of `max_write` bytes with its header. */
  readonly requestBytes: number;
  /** Reads that wait in the kernel at once; each takes a thread of libuv's pool. */
  readonly readers: number;
  /** How long the next request is looked for without sleeping, in ms; 0 for not at all. */
  readonly busyPollMs: number;
  readonly log: Logger;
  readonly onRequest: (request: DeviceRequest) => void;
}

export class FuseDevice {
  readonly #options: DeviceOptions;
  readonly #buffers: RequestMemory;
  #ended: Promise<unknown> = Promise.resolve();
  #watch: ReadableDescriptor | undefined;
  readonly #busyPoll: BusyPoll;
  #endPolling: () => void = () => undefined;
  /** Answers that threads are writing. */
  readonly #beingWritten = new Set<Promise<void>>();
  #isLooking = false;
  #looksForMore = false;
  #isStopping = false;
  #isPaused = false;
  #isClosed = false;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#buffers = new RequestMemory(
      fuseWriteIn.end,
      options.requestBytes - fuseWriteIn.end,
      MAX_FREE_BUFFERS,
    );
    this.#busyPoll = new BusyPoll(options.busyPollMs);
  }

  /** Begins to take requests. Resolves when the kernel has ended the connection: unmounted, or aborted. */
  async run(): Promise<void> {
    const polled = new Promise<void>(resolve => (this.#endPolling = resolve));
    this.#watch = ReadableDescriptor.watch(this.#options.fd, () => this.#takeRequest());
    if (this.#watch) {
      this.#ended = polled.then(async () => await this.#watch?.close());
      await this.#ended;
      return;
    }
    const loops = Array.from({ length: this.#options.readers }, async () => await this.#readLoop());
    this.#ended = Promise.all(loops);
    await this.#ended;
  }

  /**
   * Takes no more requests, though the connection lives: with `close` it ends, and whoever waits for an answer gets
   * ECONNABORTED. The control file system could do this too, but it is for root, and not mounted everywhere.
   */
  stop(): void {
    this.#isStopping = true;
    if (this.#watch) this.#endPolling();
    else emptyDescriptor(this.#options.fd);
  }

  /**
   * Takes no requests until `resume`; they wait in the kernel, or for another process that has the descriptor. Returns false where reads
   * wait on threads: then nothing has changed.
   */
  pause(): boolean {
    if (!this.#watch) return false;
    this.#isPaused = true;
    this.#watch.pause();
    return true;
  }

  resume(): void {
    if (!this.#isPaused || this.#isStopping) return;
    this.#isPaused = false;
    this.#watch?.resume();
  }

  /** Answers a request. ENOENT from the kernel means that the request was interrupted and nobody waits any more. */
  reply(unique: bigint, errno: number, payload: Payload): void {
    // The descriptor's number may be another file's by now.
    if (this.#isClosed) return;
    const length = answerBytes(payload);
    const isSmall = length <= SMALL_ANSWER_BYTES;
    const header = answerHeader(unique, errno, length, isSmall ? length : fuseOutHeader.bytes);
    if (isSmall) {
      let at = fuseOutHeader.bytes;
      for (const piece of payload) {
        header.set(piece, at);
        at += piece.length;
      }
    }
    try {
      if (isSmall) writeSync(this.#options.fd, header);
      else writevSync(this.#options.fd, pieces(header, payload));
    } catch (error) {
      this.#noteRefused(unique, errno, error);
    }
  }

  /**
   * Answers a request that succeeded, by a thread if the answer is long: resolves when the payload's memory is not needed any more, and
   * never rejects. What the kernel is to be told after the answer must wait for that.
   */
  async replyWhole(unique: bigint, payload: Payload): Promise<void> {
    const length = answerBytes(payload);
    if (length < LONG_ANSWER_BYTES || this.#isClosed) {
      this.reply(unique, 0, payload);
      return;
    }
    const writing = this.#writeApart(unique, payload, length);
    this.#beingWritten.add(writing);
    await writing;
    this.#beingWritten.delete(writing);
  }

  async #writeApart(unique: bigint, payload: Payload, length: number): Promise<void> {
    const header = answerHeader(unique, 0, length, fuseOutHeader.bytes);
    try {
      await writeDevice(this.#options.fd, pieces(header, payload));
    } catch (error) {
      this.#noteRefused(unique, 0, error);
    }
  }

  #noteRefused(unique: bigint, errno: number, error: unknown): void {
    if (hasCode(error, 'ENOENT', 'ENODEV', 'EBADF')) return;
    this.#options.log.error({ err: error, unique: String(unique) }, 'the kernel did not take an answer');
    if (errno === 0) this.reply(unique, ERRNO.EIO, []);
  }

  /** Everything is answered: looks for the next request for a while, and takes it. Never throws. */
  lookForMore(): void {
    this.#looksForMore = true;
    // A request that is taken below may be answered before `onRequest` returns.
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (this.#looksForMore) {
      this.#looksForMore = false;
      this.#look();
    }
    this.#isLooking = false;
  }

  #look(): void {
    if (!this.#watch || this.#isStopping || this.#isPaused) return;
    const untilMs = this.#busyPoll.until(performance.now());
    if (untilMs === undefined) return;
    const buffer = this.#buffers.take();
    let bytes: number;
    do bytes = this.#watch.read(buffer);
    while (bytes < 1 && performance.now() < untilMs);
    this.#busyPoll.note(bytes > 0);
    if (bytes > 0) this.#handOver(buffer, bytes);
    else this.#buffers.give(buffer);
  }

  /** Gives the descriptor back once every reader has ended. */
  async close(): Promise<void> {
    await this.#ended;
    if (this.#isClosed) return;
    this.#isClosed = true;
    // A thread must not write to another file that gets the descriptor's number.
    await Promise.all(this.#beingWritten);
    closeSync(this.#options.fd);
  }

  /**
   * The descriptor can be read: takes one request. If there are more this is called again at once; to find out by reading
   * that there are none (EAGAIN) costs more than half a request. Never throws.
   */
  #takeRequest(): void {
    if (this.#isStopping || this.#isPaused) return;
    const { fd } = this.#options;
    const buffer = this.#buffers.take();
    try {
      const bytesRead = readSync(fd, buffer, 0, buffer.length, null);
      if (bytesRead > 0) {
        this.#handOver(buffer, bytesRead);
        return;
      }
      // The kernel's device never says so; the other end of a socket that stands for it is closed.
      this.#buffers.give(buffer);
      this.#endPolling();
    } catch (error) {
      this.#buffers.give(buffer);
      if (isWithdrawn(error)) return;
      this.#logEnd(error);
      this.#endPolling();
    }
  }

  #handOver(buffer: Buffer, bytes: number): void {
    this.#options.onRequest({ bytes: buffer.subarray(0, bytes), release: () => this.#buffers.give(buffer) });
  }

  #logEnd(error: unknown): void {
    // ENODEV: unmounted; ECONNABORTED: aborted through /sys/fs/fuse/connections or by umount -f.
    if (hasCode(error, 'ENODEV', 'ECONNABORTED')) return;
    this.#options.log.error({ err: error }, 'reading /dev/fuse failed');
  }

  async #readLoop(): Promise<void> {
    const { fd } = this.#options;
    for (;;) {
      const buffer = this.#buffers.take();
      try {
        const { bytesRead } = await readDevice(fd, buffer, 0, buffer.length, null);
        if (this.#isStopping || bytesRead === 0) return;
        this.#handOver(buffer, bytesRead);
      } catch (error) {
        this.#buffers.give(buffer);
        if (isWithdrawn(error)) continue;
        this.#logEnd(error);
        return;
      }
    }
  }
}

function answerBytes(payload: Payload): number {
  return fuseOutHeader.bytes + payloadBytes(payload);
}

/** An answer's first bytes, and room for the rest of `size`. */
function answerHeader(unique: bigint, errno: number, length: number, size: number): Buffer {
  const header = Buffer.allocUnsafe(size);
  const out = fuseOutHeader.view(header, 0);
  out.len = length;
  out.error = -errno;
  out.unique = unique;
  return header;
}

/** What writev(2) is given. */
function pieces(header: Buffer, payload: Payload): Buffer[] {
  return [header, ...(payload.length < IOV_MAX ? payload : [Buffer.concat(payload)])];
}

/** A request was withdrawn before it was read (fuse_dev_do_read), or a signal came. */
function isWithdrawn(error: unknown): boolean {
  return hasCode(error, 'ENOENT', 'EINTR', 'EAGAIN');
}
