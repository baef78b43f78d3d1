/** Damaged chunks, kept aside for inspection: one file each, as they were found, header and all. */
import { join } from 'node:path';
import type { Disk } from '../platform/disk.js';

const DIRECTORY = 'quarantine';
/** Files kept; beyond that the ones that came first go. */
const MAX_FILES = 1000;

export class Quarantine {
  readonly #disk: Disk;
  readonly #directory: string;

  /** @param directory the node's data directory */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = join(directory, DIRECTORY);
  }

  /** Keeps `record`, what is on the disk of the chunk. Rejects as the disk does (ENOSPC, EIO, …). */
  async keep(chunk: number, record: Buffer): Promise<void> {
    await this.#disk.makeDirectory(this.#directory);
    await this.#makeRoom();
    const file = await this.#disk.open(join(this.#directory, `chunk-${chunk}`), 'create');
    try {
      await file.truncate(0);
      await file.writev([record], 0);
    } finally {
      await file.close();
    }
  }

  /** Chunk ids grow with time, so the lowest is the oldest. */
  async #makeRoom(): Promise<void> {
    const names = await this.#disk.list(this.#directory);
    const idOf = (name: string): number => Number(name.slice(name.lastIndexOf('-') + 1));
    const surplus = names.length - MAX_FILES + 1;
    if (surplus <= 0) return;
    for (const name of names.toSorted((a, b) => idOf(a) - idOf(b)).slice(0, surplus)) {
      await this.#disk.unlink(join(this.#directory, name));
    }
  }
}
