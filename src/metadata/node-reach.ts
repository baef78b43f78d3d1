/**
 * The reachability of data nodes at their advertised addresses, by the last probe (reach-probe.ts). An unreachable
 * node gets no chunks although its heartbeats arrive, and after a while counts as lost.
 */
import type { Endpoint } from '../platform/network.js';

/** A data node, and where it says that others reach it. */
export interface Advertised extends Endpoint {
  readonly id: string;
}

/** Failures in a row of a node that was reached before: a busy one may be late once. */
const FAILURES = 2;

interface Reach {
  readonly isProved: boolean;
  readonly failures: number;
  /** Why the last attempt failed; empty when it did not. */
  readonly reason: string;
  /** Monotonic ms of the first failure in a row, and of the last attempt. */
  readonly sinceMs: number;
  readonly triedMs: number;
}

/** Why a node cannot be reached, and since which monotonic ms. */
export type Unreachable = Pick<Reach, 'reason' | 'sinceMs'>;

export class NodeReach {
  /** identity and address → what came of trying it */
  readonly #known = new Map<string, Reach>();

  /** @param reason why the node was not reached; empty if it was */
  note(node: Advertised, reason: string, nowMs: number): void {
    const before = this.#known.get(keyOf(node));
    const isReached = reason === '';
    this.#known.set(keyOf(node), {
      isProved: isReached || before?.isProved === true,
      failures: isReached ? 0 : (before?.failures ?? 0) + 1,
      reason,
      sinceMs: isReached || !before?.failures ? nowMs : before.sinceMs,
      triedMs: nowMs,
    });
  }

  /** Undefined for a node that was reached, or was never tried. */
  unreachable(node: Advertised): Unreachable | undefined {
    const reach = this.#known.get(keyOf(node));
    if (!reach || reach.failures < (reach.isProved ? FAILURES : 1)) return undefined;
    return reach;
  }

  /** Monotonic ms at which it was tried last. */
  triedMs(node: Advertised): number {
    return this.#known.get(keyOf(node))?.triedMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Somebody did not reach it: it is to be tried soon. */
  doubt(node: Advertised): void {
    const reach = this.#known.get(keyOf(node));
    if (reach) this.#known.set(keyOf(node), { ...reach, triedMs: Number.NEGATIVE_INFINITY });
  }

  forget(node: Advertised): void {
    this.#known.delete(keyOf(node));
  }
}

function keyOf({ id, host, port }: Advertised): string {
  return `${id} ${host}:${port}`;
}
