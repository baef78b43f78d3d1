/** Requests of a client to a metadata server that the test scripts, and what the client keeps of the answers. */
import type { Test } from 'tap';
import { divideCache } from '../../../../src/client/caches/cache-sizes.js';
import { MetadataCaches } from '../../../../src/client/caches/metadata-caches.js';
import { Acquisition } from '../../../../src/client/leases/acquisition.js';
import { HeldInodes } from '../../../../src/client/leases/held-inodes.js';
import { Requests, type AcknowledgedChanges } from '../../../../src/client/requests/requests.js';
import { systemClock, type Clock } from '../../../../src/platform/clock.js';
import type { Routes } from '../../../../src/rpc/routes.js';
import { LOG } from '../../metadata/support/harness.js';
import { ScriptedMetadata, sessionAt } from './scripted-metadata.js';

const LEASE_MS = 600_000;
const NOTHING: AcknowledgedChanges = {
  hasChanges: false,
  drained: async () => undefined,
  sent: async () => undefined,
};

export interface ScriptedRequestsOptions {
  readonly clock?: Clock;
  readonly timeoutMs?: number;
  readonly acknowledged?: AcknowledgedChanges;
}

/** A client that caches, whose session has begun. */
export async function startRequests(
  t: Test,
  routes: Routes,
  { clock = systemClock, timeoutMs = 20_000, acknowledged = NOTHING }: ScriptedRequestsOptions = {},
) {
  const metadata = await ScriptedMetadata.start(t, routes);
  metadata.greeted = { leaseMs: LEASE_MS };
  const { session, lease } = sessionAt(t, metadata, {}, clock);
  lease.want();
  await session.start();
  await lease.begun();
  const caches = new MetadataCaches(lease, divideCache(1 << 20));
  const held = new HeldInodes(lease);
  const { attributes, names, xattrs } = caches;
  const ask = async (): Promise<never> => await Promise.reject(new Error('nothing is given'));
  const acquisition = new Acquisition({ clock, log: LOG, lease, held, names, attributes, xattrs, ask });
  const requests = new Requests({ clock, timeoutMs, server: session, acknowledged, acquisition });
  return { metadata, session, lease, caches, held, acquisition, requests };
}

interface Waiting<Reply> {
  readonly answer: (reply: Reply) => void;
  readonly refuse: (reason: Error) => void;
}

/** Answers requests when the test says so. */
export class Answers<Reply> {
  readonly #waiting: Waiting<Reply>[] = [];

  get count(): number {
    return this.#waiting.length;
  }

  async next(): Promise<Reply> {
    return await new Promise<Reply>((answer, refuse) => this.#waiting.push({ answer, refuse }));
  }

  /** The request that has waited longest, to be answered later. */
  take(): Waiting<Reply> {
    const first = this.#waiting.shift();
    if (!first) throw new Error('no request waits');
    return first;
  }

  give(reply: Reply): void {
    this.take().answer(reply);
  }

  refuse(reason: Error): void {
    this.take().refuse(reason);
  }
}
