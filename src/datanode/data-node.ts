/** The data node: its parts, from the lock of its directory to the scrubber, and the order in which they start and end. */
import { join } from 'node:path';
import { AlignedBuffers } from '../platform/aligned-buffers.js';
import { nextTurn, type Clock } from '../platform/clock.js';
import type { Disk } from '../platform/disk.js';
import { LockHeldError, type ExclusiveLock } from '../platform/exclusive-lock.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { backupList, backupRead, backupWrite } from '../protocol/backup-commands.js';
import { info, verify, type NodeInfo } from '../protocol/datanode-commands.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { Routes, withPayload } from '../rpc/routes.js';
import { RpcServer } from '../rpc/server.js';
import { BackupStore } from './backup-store.js';
import { ChunkRequests } from './chunk-requests.js';
import { ChunkStore } from './chunk-store.js';
import { Locality } from './locality.js';
import { MetadataLink, type Registration } from './metadata-link.js';
import {
  isNodeDirectory,
  loadIdentity,
  refuseForeign,
  saveIdentity,
  type NodeIdentity,
} from './node-identity.js';
import { ServerTime } from './server-time.js';
import { Verification } from './verification.js';
import { Scrubber } from './scrubber.js';
import { Pipeline } from './pipeline.js';
import type { Keyring } from '../rpc/keyring.js';

export interface DataNodeOptions {
  /** Where the metadata server listens. */
  readonly metadata: Endpoint;
  /** The data directory; made if there is none. */
  readonly directory: string;
  /** The address to listen on; default: the one by which this machine reaches the metadata server. */
  readonly host?: string | undefined;
  /** The port to listen on; 0 takes any free one. */
  readonly port: number;
  /** The host that others are told; default: the one it listens on. */
  readonly advertise?: string | undefined;
  /** What fails together with this node, e.g. its rack; default: its host. */
  readonly domain?: string | undefined;
  /** Milliseconds in which everything is read once, to find what rots; 0: never; default: 14 days. */
  readonly scrubPeriodMs?: number | undefined;
  /** As in MetadataLinkOptions. */
  readonly startTimeoutMs?: number | undefined;
  /** Bytes after which another segment is begun. */
  readonly segmentBytes?: number | undefined;
  /** As tableBytes of ChunkStoreOptions. */
  readonly cacheBytes?: number | undefined;
  /** As in ChunkStoreOptions. */
  readonly minAlignedBytes?: number | undefined;
  /** Where chunks are received; default: memory of its own, of which RECEIVED_BYTES are kept. */
  readonly buffers?: AlignedBuffers | undefined;
  readonly keys: Keyring;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly log: Logger;
}

/** As many chunks as one mount has on their way. */
const RECEIVED_BYTES = 32 << 20;
const DEFAULT_SCRUB_PERIOD_MS = 14 * 86_400_000;
/** Addresses to listen on that are no addresses to connect to. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '']);

export class DataNode {
  readonly #options: DataNodeOptions;
  readonly #locality: Locality;
  #lock: ExclusiveLock | undefined;
  #identity: NodeIdentity | undefined;
  #store: ChunkStore | undefined;
  #backups: BackupStore | undefined;
  #pipeline: Pipeline | undefined;
  #requests: ChunkRequests | undefined;
  #server: RpcServer | undefined;
  #link: MetadataLink | undefined;
  #scrubber: Scrubber | undefined;
  #verification: Verification | undefined;
  #advertised = '';
  readonly #serverTime: ServerTime;
  #starting: Promise<void> | undefined;
  #isClosing = false;
  #end: (reason: DfsError) => void = () => undefined;
  /** Resolves with the reason when the node cannot go on, and should be closed. */
  readonly broken: Promise<DfsError>;

  constructor(options: DataNodeOptions) {
    this.#options = options;
    this.#serverTime = new ServerTime(options.clock);
    this.#locality = new Locality(options.disk, options.directory, options.random);
    this.broken = new Promise(resolve => (this.#end = resolve));
  }

  /**
   * Opens the data directory, listens, registers and begins to beat. When it rejects, everything is closed again:
   * EBUSY when another process uses the directory, EINVAL when its identity is damaged, EACCES when the metadata
   * server refuses the node, a connection error when it does not answer for ten seconds.
   */
  async start(): Promise<void> {
    this.#starting = this.#start();
    try {
      await this.#starting;
    } catch (error) {
      await this.#stop();
      throw toDfsError(error);
    }
  }

  /** Where it listens. */
  get endpoint(): Endpoint {
    if (!this.#server) throw new DfsError('EINVAL', 'the data node is not started');
    return this.#server.endpoint;
  }

  /** The number that the metadata server gave it; 0 before the first registration. */
  get nodeNumber(): number {
    return this.#identity?.node ?? 0;
  }

  /**
   * Answers what it has begun, makes it durable, and lets go of the directory. Requests that come meanwhile are
   * refused. May be called twice.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#requests?.refuse();
    // Ends the waiting for a metadata server that is away.
    await this.#link?.close();
    await Promise.allSettled([this.#starting]);
    await this.#stop();
  }

  async #stop(): Promise<void> {
    this.#isClosing = true;
    this.#requests?.refuse();
    await this.#link?.close();
    await this.#requests?.answered();
    // The answers are sent in the turns right after; closing the server cuts the connections.
    await nextTurn(this.#options.clock);
    await this.#server?.close();
    await this.#scrubber?.close();
    await this.#verification?.close();
    this.#pipeline?.close();
    await this.#backups?.close();
    await this.#store?.close();
    this.#lock?.release();
    this.#lock = undefined;
  }

  async #start(): Promise<void> {
    const { directory, disk, random, clock, log, metadata, host, port, keys } = this.#options;
    const { network } = this.#options;
    await disk.makeDirectory(directory);
    await refuseForeign(disk, directory);
    this.#lock = this.#takeLock();
    const identity = await loadIdentity(disk, directory, random);
    this.#identity = identity;
    const store = new ChunkStore({
      disk,
      clock,
      log,
      directory,
      node: identity.id,
      segmentBytes: this.#options.segmentBytes,
      tableBytes: this.#options.cacheBytes,
      minAlignedBytes: this.#options.minAlignedBytes,
    });
    this.#store = store;
    await store.open();
    const backups = new BackupStore(disk, join(directory, 'backup'));
    this.#backups = backups;
    await backups.open();
    this.#refuseIfClosing();
    const pipeline = new Pipeline({ network, clock, random, log, keys });
    this.#pipeline = pipeline;
    const requests = new ChunkRequests({
      store,
      pipeline,
      locality: this.#locality,
      serverTime: this.#serverTime,
      node: () => this.nodeNumber,
    });
    this.#requests = requests;
    const link = new MetadataLink({
      network,
      clock,
      random,
      log,
      keys,
      metadata,
      serverTime: this.#serverTime,
      id: identity.id,
      domain: this.#options.domain ?? '',
      startTimeoutMs: this.#options.startTimeoutMs,
      cluster: () => this.#identity?.cluster ?? '',
      report: async () => {
        await this.#checkDirectory(store);
        return { ...(await store.space()), chunks: store.chunkCount };
      },
      onRegistered: async registration => {
        requests.takeGrantKey(registration.grantKey);
        await this.#takeRegistration(registration);
      },
      drop: async chunks => await store.drop(chunks),
      chunkIds: () => store.chunkIds(),
      has: chunk => store.has(chunk),
      isNeeded: chunk => store.intents.hasOf(chunk),
      logs: store.intents,
      troubles: store.troubles,
      quarantine: async chunk => await store.quarantine(chunk),
      // What only the metadata server may ask: it is at the other end of this connection.
      routes: requests
        .addOrders(new Routes(backupReading(backups)))
        .on(
          verify,
          async order =>
            this.#verification?.order(order) ?? { isRunning: false, doneBytes: 0, totalBytes: 0 },
        )
        .on(backupWrite, async ({ file, offset, crc }, { payload }) => {
          requests.openStore();
          await requests.answer(backups.write(file, offset, crc, payload));
          return {};
        }),
    });
    this.#link = link;
    this.#verification = new Verification({
      reportInventory: async () => await link.reportInventory(),
      chunkIds: () => store.chunkIds(),
      totalBytes: () => store.payloadBytes(),
      verify: async chunk => await store.verify(chunk),
    });
    const localHost = await link.connect();
    this.#refuseIfClosing();
    const listenHost = host ?? localHost;
    const routes = requests
      .addRequests(new Routes(backupReading(backups)))
      .on(info, async () => await requests.answer(this.#info(requests.openStore())));
    const server = new RpcServer({
      network,
      clock,
      random,
      log,
      keys,
      kind: 'data',
      buffers: this.#options.buffers ?? new AlignedBuffers(RECEIVED_BYTES),
      endpoint: { host: listenHost, port },
      routes,
    });
    await server.start();
    this.#server = server;
    this.#advertised = this.#options.advertise ?? (WILDCARDS.has(listenHost) ? localHost : listenHost);
    const scrubber = new Scrubber({
      disk,
      clock,
      log,
      directory,
      periodMs: this.#options.scrubPeriodMs ?? DEFAULT_SCRUB_PERIOD_MS,
      chunkIds: () => store.chunkIds(),
      verify: async chunk => await store.verify(chunk),
    });
    this.#scrubber = scrubber;
    await scrubber.start();
    await link.start({ host: this.#advertised, port: server.endpoint.port });
    log.info(
      { node: this.nodeNumber, endpoint: server.endpoint, advertised: this.#advertised, directory },
      'ready',
    );
  }

  /** Without its directory the node has nothing on a disk, whatever it can still read through open files. */
  async #checkDirectory(store: ChunkStore): Promise<void> {
    const { disk, directory } = this.#options;
    try {
      if (await isNodeDirectory(disk, directory)) {
        await store.checkSegments();
        return;
      }
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
    const reason = new DfsError(
      'ENOENT',
      `${directory} was deleted or unmounted; if it comes back start this node again, otherwise start one with an empty directory: what was here is made again from other replicas`,
    );
    this.#end(reason);
    throw reason;
  }

  #refuseIfClosing(): void {
    if (this.#isClosing) throw new DfsError('EINTR', 'the data node was stopped before it had started');
  }

  #takeLock(): ExclusiveLock {
    const { disk, directory } = this.#options;
    try {
      return disk.lock(join(directory, 'lock'), `data-node, process ${process.pid}`);
    } catch (error) {
      if (!(error instanceof LockHeldError)) throw toDfsError(error).within(`cannot use ${directory}`);
      throw new DfsError(
        'EBUSY',
        `${directory} is used by ${error.holder}; stop that one first, or choose another directory`,
      );
    }
  }

  async #takeRegistration({ node, cluster }: Registration): Promise<void> {
    const { disk, directory, log } = this.#options;
    const identity = this.#identity;
    if (!identity || (identity.node === node && identity.cluster === cluster)) return;
    if (identity.node !== 0)
      log.warn({ before: identity.node, now: node }, 'the metadata server gave this node another number');
    this.#identity = { ...identity, node, cluster };
    await saveIdentity(disk, directory, this.#identity);
  }

  async #info(store: ChunkStore): Promise<NodeInfo> {
    return {
      id: this.#identity?.id ?? '',
      node: this.nodeNumber,
      cluster: this.#identity?.cluster ?? '',
      advertised: this.#advertised,
      ...(await store.space()),
      chunks: store.chunkCount,
      segments: store.segmentCount,
    };
  }
}

/** How backups are read: by the metadata server, and when that is gone by whoever rebuilds it. */
function backupReading(backups: BackupStore): Routes {
  return new Routes()
    .on(backupList, async () => ({ files: backups.list() }))
    .on(backupRead, async ({ file, offset, length }, { reserve }) => {
      await reserve(length);
      const { bytes, crc } = await backups.read(file, offset, length);
      return withPayload({ crc }, [bytes]);
    });
}
