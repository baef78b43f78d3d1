/** Standard input and output as ends of a copy. */
import { addAbortSignal } from 'node:stream';
import { toDfsError } from '../../protocol/errors.js';
import type { Payload } from '../../protocol/frame.js';
import { writeOut } from '../standard-output.js';
import type { Entry, Reader } from './tree.js';

const NEW_FILE_PERMISSIONS = 0o666;

/** A new file as it would come of `cat > file`. */
export function entryOfStandardInput(): Entry {
  const now = { sec: Math.floor(Date.now() / 1000), nsec: 0 };
  return {
    kind: 'file',
    permissions: NEW_FILE_PERMISSIONS,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    isSparse: false,
    atime: now,
    mtime: now,
  };
}

/** @param signal ends the waiting for input */
export function standardInput(signal: AbortSignal): Reader {
  const stream = addAbortSignal(signal, process.stdin);
  const pieces = stream[Symbol.asyncIterator]();
  return {
    async read(): Promise<Payload | undefined> {
      try {
        const next: IteratorResult<unknown> = await pieces.next();
        if (next.done) return undefined;
        return [Buffer.isBuffer(next.value) ? next.value : Buffer.from(String(next.value))];
      } catch (error) {
        signal.throwIfAborted();
        throw toDfsError(error).within('cannot read standard input');
      }
    },
    async close() {
      stream.destroy();
    },
  };
}

/** Writes everything to standard output. Throws OutputClosed when nobody reads any more. */
export async function copyToStandardOutput(
  reader: Reader,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  try {
    for (let payload = await reader.read(); payload; payload = await reader.read()) {
      for (const piece of payload) {
        signal.throwIfAborted();
        await writeOut(piece);
        onBytes(piece.length);
      }
    }
  } finally {
    await reader.close();
  }
}
