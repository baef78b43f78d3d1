/** The data node: answers `write`, `read`, `sync` and `info`, and puts the parts together. */
import { join } from 'node:path';
import type { Clock } from '../platform/clock.js';
import type { Disk } from '../platform/disk.js';
import { LockHeldError, type ExclusiveLock } from '../platform/exclusive-lock.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { backupList, backupRead, backupWrite, chunksAfter } from '../protocol/backup-commands.js';
import { matchesChecksums } from '../protocol/checksum.js';
import {
  assemble,
  info,
  locality,
  locate,
  read,
  readparts,
  replicate,
  syncChunks,
  verify,
  write,
  type NodeInfo,
} from '../protocol/datanode-commands.js';
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { MAX_CHUNK_BYTES } from '../protocol/limits.js';
import { payloadBytes, type Payload } from '../protocol/frame.js';
import { ReadGrantKey } from '../protocol/read-grants.js';
import type { Grant, NodeAddress } from '../protocol/types.js';
import { Routes, withPayload } from '../rpc/routes.js';
import { RpcServer } from '../rpc/server.js';
import { assembleChunk } from './assembly.js';
import { BackupStore } from './backup-store.js';
import { ChunkStore } from './chunk-store.js';
import { listChunks } from './chunk-list.js';
import { checkGrant, readRefusals, type PartToRead } from './grant-check.js';
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
import { Pipeline, type WriteRequest, type WriteResult } from './pipeline.js';
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
  /** Bytes after which another segment is begun. */
  readonly segmentBytes?: number | undefined;
  /** As tableBytes of ChunkStoreOptions. */
  readonly cacheBytes?: number | undefined;
  readonly keys: Keyring;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly log: Logger;
}

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
  #server: RpcServer | undefined;
  #link: MetadataLink | undefined;
  #scrubber: Scrubber | undefined;
  #verification: Verification | undefined;
  #advertised = '';
  /** What grants are signed with; undefined before the first registration. */
  #grantKeys: { readonly write: Uint8Array; readonly read: ReadGrantKey } | undefined;
  readonly #serverTime: ServerTime;
  /** Requests that are being answered. */
  readonly #answering = new Set<Promise<unknown>>();
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
    // Ends the waiting for a metadata server that is away.
    await this.#link?.close();
    await Promise.allSettled([this.#starting]);
    await this.#stop();
  }

  async #stop(): Promise<void> {
    this.#isClosing = true;
    await this.#link?.close();
    await Promise.allSettled(this.#answering);
    // The answers are sent in the turns right after; closing the server cuts the connections.
    await new Promise<void>(resolve => {
      setImmediate(resolve);
    });
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
    });
    this.#store = store;
    await store.open();
    const backups = new BackupStore(disk, join(directory, 'backup'));
    this.#backups = backups;
    await backups.open();
    this.#refuseIfClosing();
    this.#pipeline = new Pipeline({ network, clock, random, log, keys });
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
      cluster: () => this.#identity?.cluster ?? '',
      report: async () => {
        await this.#checkDirectory(store);
        return { ...(await store.space()), chunks: store.chunkCount };
      },
      onRegistered: async registration => await this.#takeRegistration(registration),
      drop: async chunks => await store.drop(chunks),
      chunkIds: () => store.chunkIds(),
      has: chunk => store.has(chunk),
      troubles: store.troubles,
      quarantine: async chunk => await store.quarantine(chunk),
      // What only the metadata server may ask: it is at the other end of this connection.
      routes: new Routes(backupReading(backups))
        .on(syncChunks, async ({ chunks }) => await this.#sync(chunks))
        .on(replicate, async ({ grant, to }) => {
          await this.#answer(this.#replicate(grant, to));
          return {};
        })
        .on(assemble, async order => await this.#answer(this.#assemble(order)))
        .on(
          verify,
          async order =>
            this.#verification?.order(order) ?? { isRunning: false, doneBytes: 0, totalBytes: 0 },
        )
        .on(backupWrite, async ({ file, offset, crc }, { payload }) => {
          this.#openStore();
          await this.#answer(backups.write(file, offset, crc, payload));
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
    const routes = this.#routes();
    const server = new RpcServer({
      network,
      clock,
      random,
      log,
      keys,
      kind: 'data',
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

  async #takeRegistration({ node, cluster, grantKey }: Registration): Promise<void> {
    const { disk, directory, log } = this.#options;
    const identity = this.#identity;
    this.#grantKeys = { write: grantKey, read: new ReadGrantKey(grantKey) };
    if (!identity || (identity.node === node && identity.cluster === cluster)) return;
    if (identity.node !== 0)
      log.warn({ before: identity.node, now: node }, 'the metadata server gave this node another number');
    this.#identity = { ...identity, node, cluster };
    await saveIdentity(disk, directory, this.#identity);
  }

  #routes(): Routes {
    const backups = this.#backups;
    return new Routes(backups && backupReading(backups))
      .on(write, async (request, { payload }) => await this.#answer(this.#write(request, payload)))
      .on(read, async (request, { reserve }) => {
        const { chunk, offset, length } = request;
        this.#requireReadable(request);
        await reserve(length);
        const part = await this.#answer(this.#openStore().read(chunk, offset, length));
        return withPayload({ checksums: part.checksums }, [part.bytes]);
      })
      .on(readparts, async ({ parts }, { reserve }) => {
        const bytes = parts.reduce((sum, { length }) => sum + length, 0);
        if (bytes > MAX_CHUNK_BYTES) throw new DfsError('EINVAL', 'more than a chunk was asked for at once');
        const refusals = this.#readRefusals(parts);
        const places = [...parts.keys()].filter(index => refusals[index] === undefined);
        await reserve(bytes);
        const allowed = places.length === parts.length ? parts : parts.filter((_, index) => !refusals[index]);
        const found = await this.#answer(this.#openStore().readParts(allowed));
        const checksums = found.flatMap((part, index) =>
          part ? [{ index: places[index] ?? index, checksums: part.checksums }] : [],
        );
        return withPayload(
          { read: checksums },
          found.flatMap(part => (part ? [part.bytes] : [])),
        );
      })
      .on(syncChunks, async ({ chunks }) => await this.#sync(chunks))
      .on(chunksAfter, async request => await this.#answer(listChunks(this.#openStore(), request)))
      .on(locality, async () => await this.#answer(this.#locality.tell()))
      .on(locate, async part => {
        this.#requireReadable(part);
        return await this.#answer(this.#openStore().locate(part.chunk));
      })
      .on(info, async () => await this.#answer(this.#info()));
  }

  /** Notes that something is being answered, so that `close` waits for it. */
  async #answer<Result>(work: Promise<Result>): Promise<Result> {
    this.#answering.add(work);
    try {
      return await work;
    } finally {
      this.#answering.delete(work);
    }
  }

  #openStore(): ChunkStore {
    if (!this.#store || this.#isClosing) throw new DfsError('EAGAIN', 'this data node is being shut down');
    return this.#store;
  }

  /** EACCES without a grant for the chunk; EAGAIN before it is known by which key grants are signed. */
  #requireReadable(part: PartToRead): void {
    const [refusal] = this.#readRefusals([part]);
    if (refusal) throw refusal;
  }

  #readRefusals(parts: readonly PartToRead[]): (DfsError | undefined)[] {
    const { read: key, serverMs } = this.#requireGrantKeys();
    return readRefusals(parts, { key, serverMs });
  }

  /** By what grants are checked. EAGAIN before the first registration. */
  #requireGrantKeys(): {
    readonly write: Uint8Array;
    readonly read: ReadGrantKey;
    readonly serverMs: number;
  } {
    const serverMs = this.#serverTime.nowMs;
    if (this.#grantKeys && serverMs !== undefined) return { ...this.#grantKeys, serverMs };
    throw new DfsError('EAGAIN', 'this data node has not registered yet; try again in a moment');
  }

  async #sync(chunks: readonly number[]): Promise<ReplyOf<typeof syncChunks>> {
    const store = this.#openStore();
    await this.#answer(store.sync());
    return { absent: chunks.filter(chunk => !store.has(chunk)) };
  }

  async #write(request: WriteRequest, payload: Payload): Promise<WriteResult> {
    const store = this.#openStore();
    const { grant, checksums, forward, durable, inode, fileOffset } = request;
    if (!this.#pipeline) throw new DfsError('EAGAIN', 'this data node has not started yet');
    const { write: key, serverMs } = this.#requireGrantKeys();
    const node = this.nodeNumber;
    const length = payloadBytes(payload);
    checkGrant(grant, length, forward, { key, node, serverMs });
    if (!matchesChecksums(payload, checksums)) {
      throw new DfsError(
        'EBADMSG',
        `chunk ${grant.chunk} does not match its checksums; it was damaged on the way, send it again`,
      );
    }
    const forwarded = this.#pipeline.forward(request, payload);
    try {
      await store.put({ chunk: grant.chunk, inode, fileOffset, length, table: checksums, payload });
      if (durable) await store.sync();
    } catch (error) {
      const { stored, failed } = await forwarded;
      if (stored.length === 0) throw error;
      const { message, code } = toDfsError(error);
      return { stored, failed: [{ node, reason: message, code }, ...failed] };
    }
    const { stored, failed } = await forwarded;
    return { stored: [node, ...stored], failed };
  }

  /** Puts a chunk together, here and along the order's chain. */
  async #assemble(order: RequestOf<typeof assemble>): Promise<ReplyOf<typeof assemble>> {
    const store = this.#openStore();
    if (!this.#pipeline) throw new DfsError('EAGAIN', 'this data node has not started yet');
    return await assembleChunk(order, { store, pipeline: this.#pipeline, node: this.nodeNumber });
  }

  /** Copies a chunk of this node to another one, as its writer would have done. */
  async #replicate(grant: Grant, to: NodeAddress): Promise<void> {
    const store = this.#openStore();
    if (!this.#pipeline) throw new DfsError('EAGAIN', 'this data node has not started yet');
    const { payload, table, inode, fileOffset } = await store.readWhole(grant.chunk);
    const request = { grant, checksums: table, inode, fileOffset, forward: [to], durable: true };
    const { failed } = await this.#pipeline.forward(request, payload);
    const [failure] = failed;
    if (failure) throw new DfsError('EIO', `data node ${failure.node} did not take it: ${failure.reason}`);
  }

  async #info(): Promise<NodeInfo> {
    const store = this.#openStore();
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
