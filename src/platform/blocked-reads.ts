/**
 * Ends reads that wait in the kernel, on threads of libuv's pool, for an event that may never come: closing a
 * descriptor does not wake them, and they would keep the file behind it alive.
 */
import { closeSync, openSync, readdirSync } from 'node:fs';
import type { KoffiFunc } from 'koffi';
import { loadKoffi } from './foreign-functions.js';

type Dup2 = KoffiFunc<(from: number, to: number) => number>;
type Tgkill = KoffiFunc<(process: number, thread: number, signal: number) => number>;

/** Means nothing to us; while somebody listens for it, it does nothing but interrupt. */
const SIGNAL = 'SIGUSR2';
const SIGNAL_NUMBER = 12;

/**
 * From now on the descriptor reads as an empty file, and so do reads of it that wait: a signal interrupts them, and the
 * kernel begins them again (signal(7), SA_RESTART) by the descriptor's number. Linux.
 */
export function emptyDescriptor(descriptor: number): void {
  const libc = loadKoffi().load(null);
  const dup2 = libc.func('int dup2(int from, int to)') as Dup2;
  const tgkill = libc.func('int tgkill(int process, int thread, int signal)') as Tgkill;
  // For good: one that comes late would end the process.
  process.on(SIGNAL, () => undefined);
  const empty = openSync('/dev/null', 'r+');
  try {
    if (dup2(empty, descriptor) < 0) throw new Error(`descriptor ${descriptor} could not be replaced`);
  } finally {
    closeSync(empty);
  }
  for (const thread of readdirSync('/proc/self/task')) {
    // This one does not wait.
    if (Number(thread) !== process.pid) tgkill(process.pid, Number(thread), SIGNAL_NUMBER);
  }
}
