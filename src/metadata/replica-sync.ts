/**
 * Has data nodes put on stable storage what commits name, before those commits go to stable storage themselves: otherwise
 * a power loss of everything could leave names of chunks that no node has.
 */
import { isDoneWithin, type Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { SharedRun } from '../platform/shared-run.js';
import { syncChunks } from '../protocol/datanode-commands.js';
import { toDfsError } from '../protocol/errors.js';
import { MAX_CHUNKS_TO_SYNC } from '../protocol/limits.js';
import type { NodeConnection } from './node-orders.js';
import type { UnsyncedReplicas } from './unsynced-replicas.js';

const CALL_TIMEOUT_MS = 10_000;

export interface ReplicaSyncOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly unsynced: UnsyncedReplicas;
  /** Undefined when the node has not registered. */
  readonly connectionOf: (node: number) => NodeConnection | undefined;
  /** Takes replicas off the record that a node has lost. */
  readonly forget: (node: number, chunks: readonly number[]) => Promise<void>;
}

export class ReplicaSync {
  readonly #options: ReplicaSyncOptions;
  readonly #calls = new Map<number, SharedRun>();
  /** Nodes that did not answer in time: they are asked, and not waited for until they have answered. */
  readonly #late = new Set<number>();

  constructor(options: ReplicaSyncOptions) {
    this.#options = options;
  }

  /** Whether a node that is worth waiting for has something to sync. */
  get isNeeded(): boolean {
    return this.#options.unsynced
      .nodes()
      .some(node => !this.#late.has(node) && this.#connection(node) !== undefined);
  }

  /**
   * Resolves when the nodes have on stable storage what was committed before this call, or have lost it. Waits for no node
   * that is away, and for none longer than `limitMs`. Never rejects.
   */
  async sync(limitMs: number): Promise<void> {
    const { clock, log, unsynced } = this.#options;
    const waiting = new Map<number, Promise<void>>();
    for (const node of unsynced.nodes()) {
      if (!this.#connection(node)) continue;
      const done = this.#syncNode(node);
      if (!this.#late.has(node))
        waiting.set(
          node,
          done.finally(() => waiting.delete(node)),
        );
    }
    if (waiting.size === 0) return;
    if (await isDoneWithin(clock, limitMs, Promise.all(waiting.values()))) return;
    for (const node of waiting.keys()) {
      this.#late.add(node);
      log.warn({ node }, `a data node did not sync within ${limitMs} ms; the metadata does not wait for it`);
    }
  }

  #connection(node: number): NodeConnection | undefined {
    const connection = this.#options.connectionOf(node);
    return connection?.isClosed === false ? connection : undefined;
  }

  /** A call that begins after this one. Never rejects. */
  async #syncNode(node: number): Promise<void> {
    let calls = this.#calls.get(node);
    if (!calls) this.#calls.set(node, (calls = new SharedRun(async () => await this.#tryCall(node))));
    await calls.run();
  }

  /** Never rejects. */
  async #tryCall(node: number): Promise<void> {
    try {
      await this.#call(node);
      this.#late.delete(node);
    } catch (error) {
      this.#late.add(node);
      this.#options.log.debug({ node, reason: toDfsError(error).message }, 'a data node did not sync');
    }
  }

  async #call(node: number): Promise<void> {
    const { unsynced, forget } = this.#options;
    for (;;) {
      const connection = this.#connection(node);
      const chunks = unsynced.of(node, MAX_CHUNKS_TO_SYNC);
      if (!connection || chunks.length === 0) return;
      const { reply } = await connection.call(syncChunks, { chunks }, { timeoutMs: CALL_TIMEOUT_MS });
      unsynced.absent(node, reply.absent);
      unsynced.synced(node, chunks);
      if (reply.absent.length > 0) void forget(node, reply.absent);
      if (chunks.length < MAX_CHUNKS_TO_SYNC) return;
    }
  }
}
