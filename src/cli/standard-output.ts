/** Writing to standard output: waits for a slow reader, and ends quietly when the reader has gone. */
import { hasCode } from '../protocol/errors.js';

/** Nobody reads any more what is written (`ls … | head`): the command ends, and that is no failure. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

// The error also comes by the callback below; without a listener it would end the process with a stack trace.
process.stdout.on('error', () => undefined);

/** Returns when standard output has taken the bytes. Throws OutputClosed when its reader has gone. */
export async function writeOut(data: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(data, error => {
      if (!error) resolve();
      else if (hasCode(error, 'EPIPE', 'ERR_STREAM_DESTROYED')) reject(new OutputClosed());
      else reject(error);
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
