/** Grants kept at hand, so that storing a chunk needs no round trip to the metadata server of its own. */
import type { Clock } from '../../platform/clock.js';
import type { ReplyOf } from '../../protocol/command.js';
import { DfsError } from '../../protocol/errors.js';
import { amend, grant } from '../../protocol/content-commands.js';
import type { Grant } from '../../protocol/types.js';
import type { DataNodePool } from './data-node-pool.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { keptReadGrant, type KeptReadGrant } from './readable-chunk.js';

/** Grants asked for at once: some ten for each of a few nodes (`takeNear`). */
const BATCH = 64;
/** With fewer than this left, more are asked for in the background. */
const LOW = 24;
/** Old grants name nodes that may be gone or full by now. */
const MAX_AGE_MS = 30_000;
/** Those that name fewer nodes than their goal says are good for less: others may be back by now. */
const MAX_SHORT_AGE_MS = 2000;

/** Permission to store a chunk, and to read it then. */
export interface ChunkGrant {
  readonly grant: Grant;
  readonly readGrant: KeptReadGrant;
}

interface Kept extends ChunkGrant {
  readonly sinceMs: number;
}

type Granted = ReplyOf<typeof grant>;

export class GrantPool {
  readonly #session: MetadataSession;
  readonly #nodes: DataNodePool;
  readonly #clock: Clock;
  readonly #chunkBytes: number;
  readonly #minReplicas: number | undefined;
  /** goal → grants for it, oldest first */
  readonly #kept = new Map<number, Kept[]>();
  /** goal → the request for more that is under way */
  readonly #asking = new Map<number, Promise<void>>();
  /** The node that `takeNear` chose last. */
  #nearest: number | undefined;

  constructor(
    session: MetadataSession,
    nodes: DataNodePool,
    clock: Clock,
    chunkBytes: number,
    minReplicas?: number,
  ) {
    this.#session = session;
    this.#nodes = nodes;
    this.#clock = clock;
    this.#chunkBytes = chunkBytes;
    this.#minReplicas = minReplicas;
  }

  /** How many grants a request that can bring some along (`put`) should ask for. */
  wanted(goal: number): number {
    return this.#usable(goal).length < LOW && !this.#asking.has(goal) ? BATCH : 0;
  }

  /** Keeps grants that came with another reply. */
  add(goal: number, granted: Granted): void {
    this.#nodes.learn(granted.nodes);
    const sinceMs = this.#clock.monotonicMs();
    const kept = this.#usable(goal);
    // A node may have failed while the request was under way.
    const distrusted = new Set(this.#nodes.distrusted());
    const given = chunkGrantsOf(granted);
    const good = given.filter(each => !each.grant.nodes.some(node => distrusted.has(node)));
    for (const each of good.length > 0 ? good : given) kept.push({ ...each, sinceMs });
  }

  /** A grant for one chunk of at most the client's chunk size. EAGAIN: no node lives; ENOSPC: too few have room. */
  async take(goal: number): Promise<ChunkGrant> {
    return await this.#take(goal, kept => kept.shift());
  }

  /**
   * The same for a small chunk that nobody waits for: grants that name one node first follow each other, as long as there are any.
   * To wake a node's process costs as much for one chunk as for ten. Every grant is used in the end, so each node gets its share.
   */
  async takeNear(goal: number): Promise<ChunkGrant> {
    return await this.#take(goal, kept => {
      const near = kept.findIndex(each => each.grant.nodes[0] === this.#nearest);
      const [next] = kept.splice(Math.max(near, 0), 1);
      this.#nearest = next?.grant.nodes[0];
      return next;
    });
  }

  async #take(goal: number, choose: (kept: Kept[]) => Kept | undefined): Promise<ChunkGrant> {
    for (;;) {
      const kept = this.#usable(goal);
      const next = choose(kept);
      if (next) {
        // What goes wrong in the background goes wrong again, and is told, when take() asks itself.
        if (kept.length < LOW) void this.#askForMore(goal).catch(() => undefined);
        return next;
      }
      await this.#askForMore(goal);
    }
  }

  /**
   * The grant of a chunk that too few nodes took, with further ones.
   * @param stored nodes that hold the chunk
   * @param failed nodes to be taken only if there are no others
   * ESTALE when the grant has expired, ENOSPC when too few nodes have room, EAGAIN when none lives.
   */
  async amend(
    old: Grant,
    goal: number,
    stored: ReadonlySet<number>,
    failed: ReadonlySet<number>,
  ): Promise<ReplyOf<typeof amend>> {
    const reply = await this.#session.ask(amend, {
      grant: old,
      goal,
      ...this.#enough,
      stored: [...stored],
      failed: [...failed].slice(0, 64),
    });
    this.#nodes.learn(reply.nodes);
    return reply;
  }

  /** A grant that leaves out nodes which just failed, if there are others. */
  async takeElsewhere(goal: number, exclude: ReadonlySet<number>): Promise<ChunkGrant> {
    const [only] = chunkGrantsOf(await this.#ask(goal, 1, exclude));
    if (!only) throw new DfsError('EAGAIN', 'the metadata server granted nothing');
    return only;
  }

  /** Drops every grant: the server says that one which should be good is not. */
  clear(): void {
    this.#kept.clear();
  }

  /** Drops every grant that names a node which failed. */
  dropNode(node: number): void {
    for (const [goal, kept] of this.#kept) {
      this.#kept.set(
        goal,
        kept.filter(each => !each.grant.nodes.includes(node)),
      );
    }
  }

  get #enough(): { readonly minReplicas?: number } {
    return this.#minReplicas === undefined ? {} : { minReplicas: this.#minReplicas };
  }

  #usable(goal: number): Kept[] {
    const nowMs = this.#clock.monotonicMs();
    const kept = this.#kept.get(goal) ?? [];
    let stale = 0;
    for (let oldest = kept[stale]; oldest; oldest = kept[stale]) {
      const maxAgeMs = oldest.grant.nodes.length < goal ? MAX_SHORT_AGE_MS : MAX_AGE_MS;
      if (nowMs - oldest.sinceMs <= maxAgeMs) break;
      stale += 1;
    }
    kept.splice(0, stale);
    this.#kept.set(goal, kept);
    return kept;
  }

  async #askForMore(goal: number): Promise<void> {
    let asking = this.#asking.get(goal);
    if (!asking) {
      asking = this.#refill(goal).finally(() => this.#asking.delete(goal));
      this.#asking.set(goal, asking);
    }
    await asking;
  }

  async #refill(goal: number): Promise<void> {
    const reply = await this.#ask(goal, BATCH, new Set());
    // Else take() would ask again at once, and again.
    if (reply.grants.length === 0) throw new DfsError('EAGAIN', 'the metadata server granted nothing');
    this.add(goal, reply);
  }

  async #ask(goal: number, count: number, exclude: ReadonlySet<number>): Promise<Granted> {
    const unwanted = new Set([...this.#nodes.distrusted(), ...exclude]);
    const reply = await this.#session.ask(grant, {
      count,
      goal,
      ...this.#enough,
      maxBytes: this.#chunkBytes,
      exclude: [...unwanted].slice(0, 64),
    });
    this.#nodes.learn(reply.nodes);
    return reply;
  }
}

function chunkGrantsOf({ grants, readGrants }: Granted): ChunkGrant[] {
  return grants.map((each, index) => ({ grant: each, readGrant: keptReadGrant(readGrants, index) }));
}
