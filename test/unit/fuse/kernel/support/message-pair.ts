/**
 * Two sockets in the place of /dev/fuse, below FakeDevice: a message is one request, answer or notification. The test, as
 * the kernel, has one of them and says itself when it reads, so that the driver's writes can be made to wait.
 */
import { closeSync, writeSync } from 'node:fs';
import koffi, { type KoffiFunc } from 'koffi';
import type { Test } from 'tap';
import { openSocketPair } from '../../../../../src/platform/descriptor-passing.js';

const libc = koffi.load(null);
const recv = libc.func('intptr_t recv(int socket, void *target, size_t bytes, int flags)') as KoffiFunc<
  (socket: number, target: Buffer, bytes: number, flags: number) => number
>;
const send = libc.func('intptr_t send(int socket, void *bytes, size_t length, int flags)') as KoffiFunc<
  (socket: number, bytes: Buffer, length: number, flags: number) => number
>;
const MSG_DONTWAIT = 0x40;
const MAX_MESSAGE_BYTES = 1 << 20;
const FILLER = Buffer.from('filler');

export class MessagePair {
  /** The driver's. */
  readonly fd: number;
  readonly #kernel: number;
  #isKernelOpen = true;
  readonly #buffer = Buffer.alloc(MAX_MESSAGE_BYTES);

  private constructor(fd: number, kernel: number) {
    this.fd = fd;
    this.#kernel = kernel;
  }

  /** @param isGivenAway the driver closes its end itself */
  static open(t: Test, isGivenAway = false): MessagePair {
    const { ours, theirs } = openSocketPair('messages');
    const pair = new MessagePair(theirs, ours);
    // What keeps a mount's process is its device; here nothing does while a thread of the driver works.
    const alive = setInterval(() => undefined, 60_000);
    t.teardown(() => {
      clearInterval(alive);
      pair.endKernel();
      if (!isGivenAway) closeSync(theirs);
    });
    return pair;
  }

  /** The kernel sends a request, or what is none. */
  send(bytes: Uint8Array): void {
    writeSync(this.#kernel, bytes);
  }

  /** What the driver has written and nobody has read yet, but no fillers. */
  take(): Buffer[] {
    const messages: Buffer[] = [];
    for (;;) {
      const length = recv(this.#kernel, this.#buffer, this.#buffer.length, MSG_DONTWAIT);
      if (length <= 0) return messages;
      const message = Buffer.from(this.#buffer.subarray(0, length));
      if (!message.equals(FILLER)) messages.push(message);
    }
  }

  /** What the driver writes from now on waits until `take`. */
  fill(): void {
    while (send(this.fd, FILLER, FILLER.length, MSG_DONTWAIT) > 0);
  }

  /** The kernel's end is closed, as by umount(8). May be called twice. */
  endKernel(): void {
    if (!this.#isKernelOpen) return;
    this.#isKernelOpen = false;
    closeSync(this.#kernel);
  }
}
