/** Tells clients the directory of this node's files, and proves to them that they share its machine. */
import { join, resolve } from 'node:path';
import type { Disk } from '../platform/disk.js';
import type { Random } from '../platform/random.js';
import type { ReplyOf } from '../protocol/command.js';
import { LOCALITY_PROOF_BYTES, LOCALITY_PROOF_FILE, type locality } from '../protocol/datanode-commands.js';

export class Locality {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #random: Random;
  /** The proof, once it stands in its file. */
  #proof: Promise<string> | undefined;

  /** @param directory the node's data directory */
  constructor(disk: Disk, directory: string, random: Random) {
    this.#disk = disk;
    this.#directory = resolve(directory);
    this.#random = random;
  }

  /** The answer to `locality`. Rejects when the proof cannot be written; the next call tries again. */
  async tell(): Promise<ReplyOf<typeof locality>> {
    this.#proof ??= this.#writeProof().catch((error: unknown) => {
      this.#proof = undefined;
      throw error;
    });
    return { directory: this.#directory, proof: await this.#proof };
  }

  /** Nothing is synced: after a crash another node process writes another one. */
  async #writeProof(): Promise<string> {
    const proof = this.#random.bytes(LOCALITY_PROOF_BYTES).toString('hex');
    const file = await this.#disk.open(join(this.#directory, LOCALITY_PROOF_FILE), 'create');
    try {
      await file.truncate(0);
      await file.writev([Buffer.from(proof, 'latin1')], 0);
    } finally {
      await file.close();
    }
    return proof;
  }
}
