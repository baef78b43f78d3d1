/** Writing to standard output: waits for a slow reader, and ends quietly when the reader has gone. */
import { fileErrorText } from '../platform/file-error-text.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';

/** Nobody reads any more what is written (`ls … | head`): the command ends, and that is no failure. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** Why standard output took no more; what yargs prints for --help has no callback that would tell it. */
let failure: unknown;

// The error also comes by the callback below; without a listener it would end the process with a stack trace.
process.stdout.on('error', (error: unknown) => (failure ??= error));
// Nobody can be told that nobody can be told.
process.stderr.on('error', () => undefined);

/** Throws OutputClosed or DfsError if something that was written did not get there. */
export async function throwOutputFailure(): Promise<void> {
  // The stream tells it in a turn of its own.
  await new Promise<void>(resolve => {
    setImmediate(resolve);
  });
  if (failure !== undefined) throw explained(failure);
}

function explained(error: unknown): Error {
  if (hasCode(error, 'EPIPE', 'ERR_STREAM_DESTROYED')) return new OutputClosed();
  return new DfsError(toDfsError(error).code, fileErrorText(error, 'standard output'), { cause: error });
}

/** Returns when standard output has taken the bytes. Throws OutputClosed when its reader has gone. */
export async function writeOut(data: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(data, error => {
      if (error) reject(explained(error));
      else resolve();
    });
  });
}

/** Gathers small pieces, so that a million lines are not a million system calls. */
export class BatchedOutput {
  static readonly #BATCH_BYTES = 64 << 10;
  #pieces: Buffer[] = [];
  #bytes = 0;

  async write(data: string | Buffer): Promise<void> {
    const piece = typeof data === 'string' ? Buffer.from(data) : data;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= BatchedOutput.#BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    if (all.length > 0) await writeOut(all);
  }
}
