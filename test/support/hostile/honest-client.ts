/** An honest client beside an attack: asks one small thing after the other, in a thread of its own, and times the answers. */
import { Worker } from 'node:worker_threads';
import type { Endpoint } from '../../../src/platform/network.js';
import type { ServerKind } from '../../../src/rpc/keyring.js';

export interface Latencies {
  readonly answers: number;
  readonly failures: readonly string[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What the thread is told, and what it tells. */
export interface HonestOrder {
  /** The compiled clone whose client it is. */
  readonly clone: string;
  readonly endpoint: Endpoint;
  readonly command: number;
  readonly server: ServerKind;
  /** The file with the cluster's key. */
  readonly keyPath: string;
}

export interface HonestTimes {
  readonly timesMs: readonly number[];
  readonly failures: readonly string[];
}

export class HonestClient {
  readonly #worker: Worker;

  constructor(order: HonestOrder) {
    this.#worker = new Worker(new URL('honest-worker.js', import.meta.url), {
      workerData: order,
      execArgv: [],
    });
  }

  /** Resolves when it has its first answer. */
  async started(): Promise<void> {
    await this.#told();
  }

  /** Ends it. */
  async stop(): Promise<Latencies> {
    const told = this.#told();
    this.#worker.postMessage('stop', []);
    const { timesMs, failures } = (await told) as HonestTimes;
    const sorted = [...timesMs].sort((a, b) => a - b);
    const at = (part: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return { answers: sorted.length, failures, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  }

  async #told(): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
    });
  }
}
