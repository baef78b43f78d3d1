/**
 * Stores chunks on data nodes: one request to the first node of a grant, which passes the chunk on (docs/decisions/07).
 *
 *     granted ──► sent along the nodes ──► enough hold it ──► stored
 *                   ▲                          │ no
 *                   └── to further nodes ◄── the grant is amended ──► no other node is to be had: as it is, or EIO
 *
 * A node that fails is left out, and only the replica that is missing is stored elsewhere, under the same chunk id.
 */
import { formatDuration } from '../../platform/duration.js';
import { sleep, type Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { chunkChecksum, computeChecksums } from '../../protocol/checksum.js';
import { syncChunks, write } from '../../protocol/datanode-commands.js';
import { DfsError, hasCode, isErrnoName, toDfsError } from '../../protocol/errors.js';
import { payloadBytes } from '../../platform/payload.js';
import type { Payload } from '../../protocol/frame.js';
import { MIN_INTENT_COPIES, type Intent } from '../../protocol/intents.js';
import { MAX_CHUNKS_TO_SYNC } from '../../protocol/limits.js';
import type { Grant, NodeAddress } from '../../protocol/types.js';
import { isConnectionError } from '../../rpc/client.js';
import type { DataNodePool } from './data-node-pool.js';
import type { ChunkGrant, GrantPool } from './grant-pool.js';
import { StoreProof } from '../local/store-proof.js';
import type { KeptReadGrant, WrittenChunk } from './readable-chunk.js';

export interface ChunkToStore {
  readonly payload: Payload;
  readonly goal: number;
  /** For salvage from the segments alone: whose bytes these are, and where in the file the first one stands. */
  readonly inode: number;
  readonly fileOffset: number;
  /** On stable storage on every node named in the result. */
  readonly durable: boolean;
  /** What is to be done with it, left with it where all of its nodes are of these. */
  readonly intent?: { readonly nodes: ReadonlySet<number>; readonly told: Intent } | undefined;
  /** Told whenever a node does not take it; unless the node said so itself, its connection may still be sending the bytes. */
  readonly onNodeFailure?: (reason: DfsError) => void;
  /** Why it need not be stored any more, if so: it is not tried again then. */
  readonly refusal?: () => DfsError | undefined;
}

export interface ChunkWriterOptions {
  readonly nodes: DataNodePool;
  readonly grants: GrantPool;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a chunk that too few nodes take is tried again. */
  readonly timeoutMs: number;
  /**
   * A chunk counts as stored when so many nodes hold it, or as many as its goal says if that is fewer. Left out: when
   * its goal is reached, or every live node holds it.
   */
  readonly minReplicas?: number | undefined;
}

/** A chunk that somebody waits to have on stable storage, and that is this small, goes to all its nodes at once (docs/decisions/07). */
export const MAX_FANNED_BYTES = 64 << 10;
/** Chunks up to this size that nobody waits for go to the same node several in a row (`takeNear`). */
const MAX_NEAR_BYTES = 64 << 10;
/** A node that does not take a chunk within this time is left out, even if it shows signs of life. */
const WRITE_TIMEOUT_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;
/**
 * A node that failed this client, and is alive by the metadata server's word, is tried so long again when no other is
 * left; then the chunk stays with those that have it. Longer than the server takes to see that a node is gone.
 */
const GOAL_PATIENCE_MS = 5000;

/** One chunk on its way. */
interface Attempt {
  readonly chunk: ChunkToStore;
  readonly checksums: Buffer;
  grant: Grant;
  readGrant: KeptReadGrant;
  readonly stored: Set<number>;
  /** Those that have the chunk's intent. */
  readonly intended: Set<number>;
  /** node → why it did not take the chunk */
  readonly failed: Map<number, DfsError>;
}

interface MoreNodes {
  /** Those that have failed before come last. */
  readonly nodes: readonly number[];
  /** False: the metadata server does not know yet which nodes live. */
  readonly isAll: boolean;
}

export class ChunkWriter {
  readonly #options: ChunkWriterOptions;
  /** What of this client's chunks was stored of late. */
  readonly proof: StoreProof;

  constructor(options: ChunkWriterOptions) {
    this.#options = options;
    this.proof = new StoreProof(options.clock);
  }

  /**
   * Stores one chunk on as many nodes as its goal says, or as there are. A node that fails is left out and another
   * one taken. EIO when too few nodes took it within the client's timeout, ENOSPC when too few have room.
   */
  async store(chunk: ChunkToStore): Promise<WrittenChunk> {
    const { clock, timeoutMs, minReplicas } = this.#options;
    const pauses = new Pauses(clock, timeoutMs, chunk.refusal);
    const attempt: Attempt = {
      chunk,
      checksums: computeChecksums(chunk.payload),
      ...(await this.#firstGrant(chunk, new Map(), pauses)),
      stored: new Set(),
      intended: new Set(),
      failed: new Map(),
    };
    const { stored, failed } = attempt;
    const wanted = Math.min(chunk.goal, minReplicas ?? chunk.goal);
    const failure = (): DfsError => tooFew(attempt, wanted, timeoutMs);
    let next: readonly number[] = attempt.grant.nodes;
    let patienceEndMs = Infinity;
    for (;;) {
      await this.#send(attempt, next);
      if (stored.size >= wanted) break;
      const mayBeFewer = minReplicas === undefined && stored.size > 0;
      // The grant named every node that could take it.
      if (mayBeFewer && failed.size === 0) break;
      const more = await this.#moreNodes(attempt);
      if (more === 'grant is void') {
        await pauses.next(failure);
        stored.clear();
        attempt.intended.clear();
        Object.assign(attempt, await this.#firstGrant(chunk, failed, pauses));
        next = attempt.grant.nodes;
        continue;
      }
      if (mayBeFewer && more.isAll && more.nodes.length === 0) break;
      next = more.nodes.filter(node => !failed.has(node));
      if (next.length > 0) continue;
      // None is left but those that have just failed.
      if (mayBeFewer) {
        const nowMs = clock.monotonicMs();
        patienceEndMs = Math.min(patienceEndMs, nowMs + GOAL_PATIENCE_MS, pauses.endMs);
        if (nowMs >= patienceEndMs) {
          // One that is full lives, so its replica is not done without.
          const full = more.nodes.map(node => failed.get(node)).find(reason => hasCode(reason, 'ENOSPC'));
          if (full) throw full.within(`only ${stored.size} of ${chunk.goal} replicas have room`);
          break;
        }
      }
      await pauses.next(failure);
      next = await this.#thoseThatAnswer(more.nodes);
    }
    this.proof.noteStored(chunk.goal);
    return {
      chunk: attempt.grant.chunk,
      length: payloadBytes(chunk.payload),
      checksum: chunkChecksum(attempt.checksums),
      nodes: [...stored],
      grant: attempt.grant,
      readGrant: attempt.readGrant,
      isSynced: chunk.durable,
      hasIntent: stored.size >= MIN_INTENT_COPIES && [...stored].every(node => attempt.intended.has(node)),
    };
  }

  /**
   * What was stored on this node before this call is on stable storage when it returns. Returns which of `chunks` the node
   * does not have: it lost its power, and them, since they were stored.
   */
  async sync(node: number, chunks: Iterable<number>): Promise<readonly number[]> {
    const left = [...chunks];
    const absent: number[] = [];
    do {
      const request = { chunks: left.splice(0, MAX_CHUNKS_TO_SYNC) };
      const options = { timeoutMs: WRITE_TIMEOUT_MS };
      const { reply } = await this.#options.nodes.call(node, syncChunks, request, options);
      absent.push(...reply.absent);
    } while (left.length > 0);
    return absent;
  }

  /** Waits while no data node lives. */
  async #firstGrant(
    { goal, payload, durable }: ChunkToStore,
    failed: ReadonlyMap<number, DfsError>,
    pauses: Pauses,
  ): Promise<ChunkGrant> {
    const { grants } = this.#options;
    // All others are spread over the nodes, which work on them at the same time.
    const isNear = !durable && payloadBytes(payload) <= MAX_NEAR_BYTES;
    for (;;) {
      try {
        if (failed.size === 0) return await (isNear ? grants.takeNear(goal) : grants.take(goal));
        return await grants.takeElsewhere(goal, new Set(failed.keys()));
      } catch (error) {
        const reason = toDfsError(error);
        this.proof.noteFailed();
        if (reason.code !== 'EAGAIN') throw reason;
        await pauses.next(() => new DfsError('EIO', `no data node took a chunk: ${reason.message}`));
      }
    }
  }

  /** Where else the chunk may go. */
  async #moreNodes(attempt: Attempt): Promise<MoreNodes | 'grant is void'> {
    const { grant, chunk, stored, failed } = attempt;
    if (stored.size === 0 && [...failed.values()].some(isGrantFailure)) return 'grant is void';
    try {
      const failedNodes = new Set(failed.keys());
      const amended = await this.#options.grants.amend(grant, chunk.goal, stored, failedNodes);
      attempt.grant = amended.grant;
      return { nodes: amended.add, isAll: true };
    } catch (error) {
      if (hasCode(error, 'EAGAIN')) return { nodes: [], isAll: false };
      if (hasCode(error, 'ESTALE')) return 'grant is void';
      throw error;
    }
  }

  /** A node that is down would only cost another attempt with all the data. */
  async #thoseThatAnswer(nodes: readonly number[]): Promise<readonly number[]> {
    const answers = await Promise.all(
      nodes.map(async node => ({ node, isUp: await this.#options.nodes.answers(node) })),
    );
    return answers.filter(({ isUp }) => isUp).map(({ node }) => node);
  }

  /** Sends the chunk to `nodes`. What came of it is in `attempt` afterwards. */
  async #send(attempt: Attempt, nodes: readonly number[]): Promise<void> {
    const { durable, payload } = attempt.chunk;
    const way: NodeAddress[] = [];
    for (const node of nodes) {
      const address = this.#options.nodes.addressOf(node);
      if (address) way.push(address);
      else this.#leaveOut(attempt, node, new DfsError('EHOSTUNREACH', 'its address is not known'));
    }
    const isFanned = durable && way.length > 1 && payloadBytes(payload) <= MAX_FANNED_BYTES;
    const ways = isFanned ? way.map(address => [address]) : [way];
    // When one cannot go on, the bytes are still being sent to the others.
    const sent = await Promise.allSettled(ways.map(async each => await this.#sendAlong(attempt, each)));
    for (const result of sent) if (result.status === 'rejected') throw result.reason;
  }

  /** Sends the chunk to the first node, which passes it on; when that one fails, the others are asked without it. */
  async #sendAlong(attempt: Attempt, way: readonly NodeAddress[]): Promise<void> {
    const { chunk, checksums, grant, stored, failed } = attempt;
    const { inode, fileOffset, durable, payload } = chunk;
    const intent = intentFor(attempt, way);
    for (const [index, { node: first }] of way.entries()) {
      try {
        const forward = way.slice(index + 1);
        const { reply } = await this.#options.nodes.call(
          first,
          write,
          { grant, checksums, inode, fileOffset, forward, durable, ...(intent ? { intent } : {}) },
          { payload, timeoutMs: WRITE_TIMEOUT_MS, passesOn: forward.length },
        );
        const stranger = reply.stored.find(
          node => node !== first && !forward.some(each => each.node === node),
        );
        if (stranger !== undefined)
          throw new DfsError('EPROTO', `data node ${first} names node ${stranger}, which was not asked`);
        if (reply.keptIntent === true) attempt.intended.add(first);
        for (const node of reply.stored) {
          stored.add(node);
          failed.delete(node);
        }
        for (const { node, reason, code } of reply.failed)
          this.#leaveOut(attempt, node, new DfsError(isErrnoName(code) ? code : 'EIO', reason));
        return;
      } catch (error) {
        const reason = toDfsError(error);
        if (!isNodeFailure(reason) && !isGrantFailure(reason)) throw reason;
        this.#leaveOut(attempt, first, reason);
      }
    }
  }

  #leaveOut({ chunk, grant, failed }: Attempt, node: number, reason: DfsError): void {
    const { nodes, grants, log } = this.#options;
    chunk.onNodeFailure?.(reason);
    log.warn({ chunk: grant.chunk, node, reason: reason.message }, 'a data node did not take a chunk');
    failed.set(node, reason);
    this.proof.noteFailed();
    nodes.distrust(node);
    grants.dropNode(node);
  }
}

/** The intent that goes with a chunk to one node; every node of the grant must be one that is asked for intents later. */
function intentFor({ chunk, grant }: Attempt, way: readonly NodeAddress[]): Intent | undefined {
  const { intent } = chunk;
  if (!intent || way.length > 1 || grant.nodes.length < MIN_INTENT_COPIES) return undefined;
  return grant.nodes.every(node => intent.nodes.has(node)) ? intent.told : undefined;
}

/** What a node answers when it cannot store: its disk, its memory, or its own connections fail. */
const NODE_FAILURES = [
  'EAGAIN',
  'EIO',
  'EROFS',
  'ENOSPC',
  'EBADMSG',
  'EPROTO',
  'ETIMEDOUT',
  'ECONNRESET',
  'ENFILE',
];

/** Growing pauses until a deadline. */
class Pauses {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #refusal: () => DfsError | undefined;
  #pauseMs = FIRST_PAUSE_MS;

  /** @param refusal why nothing is to be tried again, if so */
  constructor(clock: Clock, timeoutMs: number, refusal: () => DfsError | undefined = () => undefined) {
    this.#clock = clock;
    this.#refusal = refusal;
    this.#deadlineMs = clock.monotonicMs() + timeoutMs;
  }

  /** The deadline, in monotonic ms. */
  get endMs(): number {
    return this.#deadlineMs;
  }

  /** Waits for a while; after the deadline throws what `failure` says. */
  async next(failure: () => DfsError): Promise<void> {
    const leftMs = this.#deadlineMs - this.#clock.monotonicMs();
    if (leftMs <= 0) throw failure();
    await sleep(this.#clock, Math.min(leftMs, this.#pauseMs));
    const refused = this.#refusal();
    if (refused) throw refused;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, this.#pauseMs * 2);
  }
}

function tooFew({ stored, failed }: Attempt, wanted: number, timeoutMs: number): DfsError {
  const reasons = [...failed].map(([node, reason]) => `node ${node}: ${reason.message}`).join('; ');
  const because = reasons === '' ? '' : ` (${reasons})`;
  const isFull = failed.size > 0 && [...failed.values()].every(reason => hasCode(reason, 'ENOSPC'));
  if (stored.size === 0)
    return new DfsError(isFull ? 'ENOSPC' : 'EIO', `no data node took a chunk${because}`);
  return new DfsError(
    'EIO',
    `only ${stored.size} of the ${wanted} data nodes that --min-replicas asks for took what was written within ` +
      `${formatDuration(timeoutMs)}${because}; start more data nodes ('dfs nodes' lists them), or ask for fewer`,
  );
}

/** Whether another node, or the same one later, may take what this one did not. */
function isNodeFailure(error: DfsError): boolean {
  return isConnectionError(error) || hasCode(error, ...NODE_FAILURES);
}

/** Whether it is the grant, or its chunk id, that the node does not take. */
function isGrantFailure(error: DfsError): boolean {
  return hasCode(error, 'EACCES', 'EEXIST');
}
