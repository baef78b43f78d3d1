/**
 * Taking room on a disk before it is needed: posix_fallocate(3), which Node does not offer, by libc's own function through
 * koffi. Where there is none, zeros are written.
 */
import { closeSync, constants, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { constants as system } from 'node:os';
import type { KoffiFunc } from 'koffi';

type Fallocate = KoffiFunc<(fd: number, offset: number, length: number) => number>;

const ZEROS_BYTES = 1 << 20;

/** A file whose `bytes` are taken on its disk. Rejects with the system's error (ENOSPC, …), and then there is no file. */
export async function allocateFile(path: string, bytes: number): Promise<void> {
  const allocate = await loadFallocate();
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const failure = allocate?.(file, 0, bytes) ?? 0;
    if (failure !== 0) throw systemError(failure);
    if (!allocate) writeZeros(file, bytes);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
}

async function loadFallocate(): Promise<Fallocate | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    // Not loaded before it is needed: it takes 30 ms.
    const { default: koffi } = await import('koffi');
    const libc = koffi.load(null);
    return libc.func('int posix_fallocate(int fd, int64_t offset, int64_t length)') as Fallocate;
  } catch {
    // A libc without it.
    return undefined;
  }
}

function writeZeros(file: number, bytes: number): void {
  const zeros = Buffer.alloc(ZEROS_BYTES);
  for (let at = 0; at < bytes;) at += writeSync(file, zeros, 0, Math.min(ZEROS_BYTES, bytes - at), at);
  fsyncSync(file);
}

function systemError(number: number): Error {
  const code = Object.entries(system.errno).find(([, value]) => value === number)?.[0] ?? 'EIO';
  return Object.assign(new Error(`${code}: posix_fallocate`), { code, syscall: 'posix_fallocate' });
}
