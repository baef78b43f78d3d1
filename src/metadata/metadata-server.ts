/** The metadata server: its lock, its database, its port. */
import type { Clock } from '../platform/clock.js';
import type { ExclusiveLock } from '../platform/exclusive-lock.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { RpcServer } from '../rpc/server.js';
import { settleClusterKey } from './cluster-key.js';
import { takeDatabaseLock } from './database-lock.js';
import type { Durability } from './group-commit.js';
import type { NodePatience } from './node-table.js';
import { MetadataService } from './metadata-service.js';
import { askOver } from './reach-probe.js';
import { metadataRoutes } from './routes.js';
import { nodeDisk } from '../platform/disk.js';
import { requireDatabaseFile } from './store/sqlite/database-file.js';
import { SqliteStore } from './store/sqlite/sqlite-store.js';
import type { Revocations } from '../identity/revocations.js';
import type { Keyring } from '../rpc/keyring.js';

const DEFAULT_CACHE_BYTES = 256 << 20;

export interface MetadataServerOptions {
  /** The file that createDatabase() made. */
  readonly databasePath: string;
  /** Where to listen; port 0 takes any free port. */
  readonly endpoint: Endpoint;
  /** With the cluster's key itself. */
  readonly keys: Keyring;
  /** What the network goes by; default: nothing is ever revoked. */
  readonly revocations?: Revocations | undefined;
  /** `keys` take the place of those that the database knows. */
  readonly isNewKey?: boolean | undefined;
  /** group: a change survives a power loss after at most a second; strict: before it is acknowledged. */
  readonly durability: Durability;
  /** How long a file in many pieces must be left alone before it is rewritten. */
  readonly defragmentAfterMs?: number | undefined;
  /** How long data nodes may be silent. */
  readonly nodePatience?: NodePatience | undefined;
  /** The most that is copied between data nodes in a second to make lost replicas again. */
  readonly repairBytesPerSecond?: number | undefined;
  /** How often the metadata is backed up to the data nodes while it changes; default: never. */
  readonly backupIntervalMs?: number | undefined;
  /** How long a chunk that nobody refers to is kept. */
  readonly graceMs?: number | undefined;
  /** Memory for pages of the database, a quarter, and for knowing what clients cache; default: 256 MiB. */
  readonly cacheBytes?: number | undefined;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class MetadataServer {
  readonly #options: MetadataServerOptions;
  #lock: ExclusiveLock | undefined;
  #service: MetadataService | undefined;
  #rpc: RpcServer | undefined;

  constructor(options: MetadataServerOptions) {
    this.#options = options;
  }

  /**
   * Opens the database and listens. ENOENT when there is no database, EINVAL when the file is none of ours, EBUSY when
   * another server has it, EACCES for another key than the database knows, EADDRINUSE as RpcServer.start(). After an
   * error nothing is left open.
   */
  async start(): Promise<void> {
    const { databasePath, log, endpoint, keys, network, clock, random } = this.#options;
    const cacheBytes = this.#options.cacheBytes ?? DEFAULT_CACHE_BYTES;
    try {
      // Before its lock, which would be made beside it.
      await requireDatabaseFile(databasePath);
      this.#lock = takeDatabaseLock(databasePath, 'meta-data');
      const store = await this.#openStore(cacheBytes / 4);
      const service = new MetadataService(store, {
        ...this.#options,
        leaseBytes: (3 * cacheBytes) / 4,
        askIdentity: askOver({ network, clock, random, log, keys }),
        authority: keys.authority,
        backupSpoolPath: `${databasePath}.backup-part`,
      });
      this.#service = service;
      await service.start();
      const routes = metadataRoutes(service);
      this.#rpc = new RpcServer({
        network,
        clock,
        random,
        log,
        endpoint,
        routes,
        keys,
        kind: 'metadata',
        findToken: async id => await service.findToken(id),
        onMember: connection => service.connected(connection),
      });
      await this.#rpc.start();
      const { host, port } = this.#rpc.endpoint;
      this.#lock.describe(`meta-data, process ${process.pid}, listening on ${host}:${port}`);
      log.info({ host, port, database: databasePath, cluster: service.cluster }, 'ready');
    } catch (error) {
      await this.close().catch((reason: unknown) => {
        log.error({ err: reason }, 'the database could not be closed in order');
      });
      throw toDfsError(error);
    }
  }

  async #openStore(pageCacheBytes: number): Promise<SqliteStore> {
    const { databasePath, log, keys, random, isNewKey = false } = this.#options;
    const store = await SqliteStore.open(databasePath, log, nodeDisk, pageCacheBytes);
    try {
      await settleClusterKey(store, { keys, isNewKey, random, log });
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Where it listens. */
  get endpoint(): Endpoint {
    if (!this.#rpc) throw new DfsError('EINVAL', 'the metadata server does not listen');
    return this.#rpc.endpoint;
  }

  /** Finishes the requests that have arrived, closes the database and gives up its lock. May be called twice. */
  async close(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    try {
      await this.#rpc?.close();
      await this.#service?.close();
    } finally {
      lock?.release();
    }
  }
}
