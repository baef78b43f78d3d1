/**
 * Watches a descriptor that Node itself cannot wait for without a thread: neither socket, pipe nor terminal, such as
 * /dev/fuse. libuv, which is part of every Node, can (uv_poll_t, https://docs.libuv.org/en/v1.x/poll.html), and koffi
 * calls it. So a request wakes the event loop itself, rather than a thread of the pool that then wakes the event loop.
 */
import { isMainThread } from 'node:worker_threads';
import type * as Koffi from 'koffi';
import type { KoffiFunc } from 'koffi';
import { loadKoffi } from './foreign-functions.js';

/** `enum uv_handle_type` of <uv.h>. */
const UV_POLL = 8;
const UV_READABLE = 1;
/** <fcntl.h> of Linux. */
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** koffi has addresses as numbers. */
type Address = bigint;

interface Libuv {
  readonly koffi: typeof Koffi;
  readonly handleBytes: number;
  readonly loop: Address;
  readonly init: KoffiFunc<(loop: Address, handle: Buffer, fd: number) => number>;
  readonly start: KoffiFunc<(handle: Buffer, events: number, callback: Address) => number>;
  readonly stop: KoffiFunc<(handle: Buffer) => number>;
  readonly close: KoffiFunc<(handle: Buffer, callback: Address) => void>;
  readonly read: KoffiFunc<(fd: number, target: Buffer, bytes: number) => number>;
  readonly fcntl: KoffiFunc<(fd: number, command: number, argument: number) => number>;
}

let libuv: Libuv | undefined;

/** Undefined in a thread that does not run the default loop, and where the functions are not to be had. */
function loadLibuv(): Libuv | undefined {
  if (libuv || !isMainThread || process.platform !== 'linux') return libuv;
  try {
    const koffi = loadKoffi();
    const program = koffi.load(null);
    koffi.proto('void DfsPollCallback(void *handle, int status, int events)');
    koffi.proto('void DfsCloseCallback(void *handle)');
    const handleSize = program.func('size_t uv_handle_size(int type)') as KoffiFunc<(type: number) => number>;
    const defaultLoop = program.func('void *uv_default_loop()') as KoffiFunc<() => Address>;
    libuv = {
      koffi,
      handleBytes: handleSize(UV_POLL),
      loop: defaultLoop(),
      init: program.func('int uv_poll_init(void *loop, void *handle, int fd)') as Libuv['init'],
      start: program.func(
        'int uv_poll_start(void *handle, int events, DfsPollCallback *callback)',
      ) as Libuv['start'],
      stop: program.func('int uv_poll_stop(void *handle)') as Libuv['stop'],
      close: program.func('void uv_close(void *handle, DfsCloseCallback *callback)') as Libuv['close'],
      read: program.func('intptr_t read(int fd, void *target, size_t bytes)') as Libuv['read'],
      fcntl: program.func('int fcntl(int fd, int command, int argument)') as Libuv['fcntl'],
    };
  } catch {
    // A Node that is linked otherwise; whoever asks reads by threads.
    return undefined;
  }
  return libuv;
}

export class ReadableDescriptor {
  readonly #libuv: Libuv;
  readonly #fd: number;
  /** The memory of a uv_poll_t, which libuv uses until the handle is closed. */
  readonly #handle: Buffer;
  readonly #onPoll: Address;
  #closing: Promise<void> | undefined;

  private constructor(uv: Libuv, fd: number, handle: Buffer, onPoll: Address) {
    this.#libuv = uv;
    this.#fd = fd;
    this.#handle = handle;
    this.#onPoll = onPoll;
  }

  /**
   * Calls `onReadable` on the event loop as long as the descriptor can be read, or has an error to tell; its reads do not
   * wait from now on (EAGAIN). Undefined where that is not possible: then nothing has changed.
   */
  static watch(fd: number, onReadable: () => void): ReadableDescriptor | undefined {
    const uv = loadLibuv();
    if (!uv) return undefined;
    const handle = Buffer.alloc(uv.handleBytes);
    if (uv.init(uv.loop, handle, fd) !== 0) return undefined;
    const { koffi } = uv;
    const onPoll = koffi.register(() => onReadable(), koffi.pointer('DfsPollCallback'));
    const watch = new ReadableDescriptor(uv, fd, handle, onPoll);
    if (uv.start(handle, UV_READABLE, onPoll) !== 0) {
      void watch.close();
      return undefined;
    }
    uv.fcntl(fd, F_SETFL, uv.fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    return watch;
  }

  /**
   * read(2), which costs a fraction of what Node's own does where there is nothing to read: no error is made.
   * @returns the number of bytes; below one when there are none, or there is an error, of which `onReadable` will be told
   */
  read(target: Buffer): number {
    return this.#libuv.read(this.#fd, target, target.length);
  }

  /** Calls nobody until `resume`. */
  pause(): void {
    this.#libuv.stop(this.#handle);
  }

  /** Calls again after `pause`. Not after `close`. */
  resume(): void {
    this.#libuv.start(this.#handle, UV_READABLE, this.#onPoll);
  }

  /** Calls nobody any more. The descriptor stays open. May be called twice. */
  async close(): Promise<void> {
    const { koffi } = this.#libuv;
    this.#closing ??= new Promise(resolve => {
      this.#libuv.stop(this.#handle);
      const onClose = koffi.register(() => {
        // Not while it is being called.
        setImmediate(() => {
          koffi.unregister(onClose);
          koffi.unregister(this.#onPoll);
          resolve();
        });
      }, koffi.pointer('DfsCloseCallback'));
      this.#libuv.close(this.#handle, onClose);
    });
    await this.#closing;
  }
}
