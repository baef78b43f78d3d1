/** Verifies every chunk of the node at once, on request of `dfs fsck --deep`. */
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import type { verify } from '../protocol/datanode-commands.js';

export interface VerificationOptions {
  /** Tells the metadata server what is here; resolves when it knows. */
  readonly reportInventory: () => Promise<void>;
  readonly chunkIds: () => Float64Array;
  /** Bytes of payload of all chunks. */
  readonly totalBytes: () => number;
  /** Reads a chunk and checks it; returns its bytes. Notes by itself what is damaged. */
  readonly verify: (chunk: number) => Promise<number>;
}

/** Chunks read at once. */
const AT_ONCE = 2;

export class Verification {
  readonly #options: VerificationOptions;
  #running: Promise<void> | undefined;
  #doneBytes = 0;
  #totalBytes = 0;
  #isClosed = false;

  constructor(options: VerificationOptions) {
    this.#options = options;
  }

  /** Begins, unless it is under way, and tells how far it is. */
  order({ start, deep }: RequestOf<typeof verify>): ReplyOf<typeof verify> {
    if (start && !this.#running) {
      this.#doneBytes = 0;
      this.#totalBytes = deep ? this.#options.totalBytes() : 0;
      this.#running = this.#run(deep).finally(() => (this.#running = undefined));
    }
    return {
      isRunning: this.#running !== undefined,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
    };
  }

  /** May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  /** Never rejects: neither does what it calls. */
  async #run(isDeep: boolean): Promise<void> {
    const { reportInventory, chunkIds, verify } = this.#options;
    if (isDeep) {
      const chunks = chunkIds();
      let next = 0;
      const read = async (): Promise<void> => {
        while (next < chunks.length && !this.#isClosed) {
          const chunk = chunks[next] ?? 0;
          next += 1;
          this.#doneBytes += await verify(chunk);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, read));
    }
    await reportInventory();
  }
}
