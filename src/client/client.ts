/** A client of one DFS: its session, the data nodes it talks to, and what reads and writes chunks. */
import type { OnMisprediction } from './log/foretold-changes.js';
import type { Clock } from '../platform/clock.js';
import type { LocalFiles } from '../platform/local-files.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { nodes } from '../protocol/cluster-commands.js';
import type { SessionState } from '../protocol/take-over.js';
import type { ClientLimits } from './client-limits.js';
import { CacheBudget } from './caches/cache-budget.js';
import { divideCache, type CacheSizes } from './caches/cache-sizes.js';
import { ChunkCache } from './content/chunk-cache.js';
import { ChunkReader } from './content/chunk-reader.js';
import { ChunkWriter } from './content/chunk-writer.js';
import { ContentReader } from './content/content-reader.js';
import { DataNodePool } from './content/data-node-pool.js';
import { GrantPool } from './content/grant-pool.js';
import { LockClient } from './locks/lock-client.js';
import { LocalReplicas } from './local/local-replicas.js';
import { MetadataSession } from './session/metadata-session.js';
import type { Role } from '../protocol/roles.js';
import type { Keyring } from '../rpc/keyring.js';

export interface ClientOptions {
  readonly metadata: Endpoint;
  readonly keys: Keyring;
  /** What it is to the servers: a client, or an administrator. */
  readonly role: Role;
  /** How long an operation waits for absent servers before it fails with EIO. */
  readonly timeoutMs: number;
  /** On how many nodes a chunk must be to count as stored; see ChunkWriterOptions. */
  readonly minReplicas?: number | undefined;
  /** Memory for what is kept to be read, or told, again (cache-sizes.ts). */
  readonly cacheBytes: number;
  /** A session that an earlier process has begun; a new one begins when left out. */
  readonly begun?: SessionState | undefined;
  /** The most bytes of a chunk that this client writes. */
  readonly chunkBytes: number;
  /**
   * Told of a change of which the metadata server made something else than this client had foretold: a bug. Tests and the
   * simulation fail then; without it, it is logged.
   */
  readonly onMisprediction?: OnMisprediction | undefined;
  /** Those that are not the usual ones. */
  readonly limits?: ClientLimits | undefined;
  /** Who this is, for people: program, host and process. */
  readonly clientName: string;
  /** The directory that is to be the root; left out: whatever this machine may mount. */
  readonly path?: readonly Uint8Array[] | undefined;
  /** How the files of data nodes on this machine are read; without it their chunks come over the network too. */
  readonly localFiles?: LocalFiles | undefined;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Client {
  readonly log: Logger;
  readonly cacheSizes: CacheSizes;
  /** Holds the sum of what all caches of this client keep. */
  readonly budget: CacheBudget;
  readonly session: MetadataSession;
  readonly locks: LockClient;
  readonly nodes: DataNodePool;
  readonly grants: GrantPool;
  readonly writer: ChunkWriter;
  readonly content: ContentReader;
  readonly #local: LocalReplicas | undefined;

  private constructor(options: ClientOptions) {
    const { clock, log, timeoutMs } = options;
    this.log = log;
    this.cacheSizes = divideCache(options.cacheBytes);
    this.budget = new CacheBudget(this.cacheSizes.totalBytes);
    this.session = new MetadataSession({ ...options, cacheSizes: this.cacheSizes });
    this.locks = new LockClient(this.session, clock, timeoutMs, options.begun?.lockRequests);
    this.nodes = new DataNodePool(options);
    this.grants = new GrantPool(this.session, this.nodes, clock, options.chunkBytes, options.minReplicas);
    this.writer = new ChunkWriter({ ...options, nodes: this.nodes, grants: this.grants });
    const { localFiles: files } = options;
    this.#local = files && new LocalReplicas({ nodes: this.nodes, files, clock, log });
    const reader = new ChunkReader(this.nodes, log, this.#local);
    const cache = new ChunkCache(reader, this.cacheSizes.dataBytes, this.budget);
    const { attributes, names, xattrs, targets } = this.session;
    this.budget.count('attributes', () => attributes.usedBytes);
    this.budget.count('names', () => names.usedBytes);
    this.budget.count('xattrs', () => xattrs.usedBytes);
    this.budget.count('targets', () => targets.usedBytes);
    this.budget.count('data', () => cache.usedBytes);
    this.content = new ContentReader(
      this.session,
      this.nodes,
      reader,
      cache,
      clock,
      timeoutMs,
      this.cacheSizes,
    );
  }

  /** Connects and begins a session. ECONNREFUSED, EHOSTUNREACH, EACCES, … when that fails. */
  static async open(options: ClientOptions): Promise<Client> {
    const client = new Client(options);
    try {
      await client.session.start();
    } catch (error) {
      // A session that others have begun goes on with them.
      if (options.begun) await client.leave();
      else await client.close();
      throw error;
    }
    return client;
  }

  /** The data nodes that live, by the metadata server's word. */
  async liveNodes(): Promise<number[]> {
    const reply = await this.session.ask(nodes, {});
    this.nodes.learn(reply.nodes);
    return reply.nodes.filter(status => status.state === 'live').map(status => status.node);
  }

  /** Ends the session and closes every connection. May be called twice. */
  async close(): Promise<void> {
    await this.session.close();
    await this.#disconnect();
  }

  /** Closes every connection for good; the session goes on with another process. */
  async leave(): Promise<void> {
    this.session.leave();
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    this.nodes.close();
    await this.#local?.close();
  }
}
