/** pread(2) on a thread of libuv's pool, until all is read. */
import { read } from 'node:fs';

/**
 * Fills `target` from `position` (bytes) on; returns less than its length only at the end of the file. Rejects with the
 * system's error.
 */
export async function readFully(descriptor: number, target: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < target.length) {
    const count = await readSome(descriptor, target, filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

async function readSome(descriptor: number, target: Buffer, from: number, position: number): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    read(descriptor, target, from, target.length - from, position, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}
