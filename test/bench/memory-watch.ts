/** The memory of all processes of a subject, while it is measured. */
import type { Measurement } from '../../src/cli/bench/measurement.js';
import { residentMib, type FindDaemons } from './daemons.js';

const LOOK_MS = 1000;
const UNIT = 'MiB';

export class MemoryWatch {
  readonly #find: FindDaemons;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<number> = Promise.resolve(0);
  #peakMib = 0;

  constructor(find: FindDaemons) {
    this.#find = find;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** Looks a last time; returns nothing where there are no processes. May be called twice. */
  async stop(): Promise<Measurement[]> {
    clearInterval(this.#timer);
    await this.#looking;
    const lastMib = await this.#look();
    if (lastMib === 0) return [];
    return [
      { name: 'memory-rss', value: lastMib, unit: UNIT, notes: {} },
      { name: 'memory-peak', value: this.#peakMib, unit: UNIT, notes: {} },
    ];
  }

  async #look(): Promise<number> {
    this.#looking = this.#sum().catch(() => 0);
    const mib = await this.#looking;
    this.#peakMib = Math.max(this.#peakMib, mib);
    return mib;
  }

  async #sum(): Promise<number> {
    const each = await Promise.all((await this.#find()).map(residentMib));
    return each.reduce((sum, mib) => sum + mib, 0);
  }
}
