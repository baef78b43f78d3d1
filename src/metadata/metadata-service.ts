/** The metadata server without its network: the store, the state in memory, and the execution of requests. */
import type { Static, TSchema } from '@sinclair/typebox';
import { steadyClock, type Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import { GRANT_LIFETIME_MS } from '../protocol/limits.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { FsckStatus, RepairStatus } from '../protocol/cluster-commands.js';
import type { Command, ReplyOf, RequestOf } from '../protocol/command.js';
import { ReadGrantKey } from '../protocol/read-grants.js';
import { BackupWork } from './backup/backup-work.js';
import { BackgroundWork } from './background/background-work.js';
import { Defragmenter } from './background/defragmenter.js';
import { healthConditions } from './health/conditions.js';
import { DamageLog } from './fsck/damage-log.js';
import { admit } from './exports/admission.js';
import { Exports } from './exports/exports.js';
import { FsckJob } from './fsck/fsck-job.js';
import { GoneClients } from './gone-clients.js';
import { GroupCommit, type Durability } from './group-commit.js';
import { IdAllocator } from './id-allocator.js';
import { IntentLogs } from './intents/intent-logs.js';
import { IntentReplay } from './intents/intent-replay.js';
import { loadState } from './load-state.js';
import { LockService } from './locks/lock-service.js';
import { ChangedNames } from './leases/changed-names.js';
import { ExclusiveLeases } from './leases/exclusive-leases.js';
import { LeaseTable } from './leases/lease-table.js';
import type { ClientCalls } from './leases/revocations.js';
import { Recalls } from './leases/recalls.js';
import { needsTurn } from './leases/command-conflicts.js';
import { NodeOrders, type NodeConnection } from './node-orders.js';
import { NodeTable, type NodePatience } from './node-table.js';
import { OpenTable } from './open-table.js';
import type { Operation } from './operation.js';
import { forgetReplica } from './operations/heartbeat.js';
import { hold } from './operations/hold.js';
import { reg } from './operations/reg.js';
import { renew, session as sessionOperation } from './operations/session.js';
import type { Peer } from './peer.js';
import { Membership } from './members/membership.js';
import type { CertificateAuthority } from '../identity/certificate-authority.js';
import { Revocations } from '../identity/revocations.js';
import type { KnownToken } from '../rpc/gate.js';
import type { PeerConnection } from '../rpc/routes.js';
import { ReachProbe, type AskIdentity } from './reach-probe.js';
import type { ServerState } from './server-state.js';
import { RepairNotes } from './repair/repair-notes.js';
import { DEFAULT_GRACE_MS } from './content/chunk-references.js';
import { RepairWork } from './repair/repair-work.js';
import { ReplicaSync } from './replica-sync.js';
import { RoomWatch } from './room-watch.js';
import { onceOf, SessionBindings } from './session-bindings.js';
import { SessionTable } from './session-table.js';
import type { Store } from './store/store.js';
import { UnlinkedInodes } from './unlinked-inodes.js';
import { UnsyncedReplicas } from './unsynced-replicas.js';
import { LeasedRequests } from './leases/leased-requests.js';

const RUN_BYTES = 8;

export interface MetadataServiceOptions {
  readonly durability: Durability;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** How long a file in many pieces must be left alone before it is rewritten; default: a minute. */
  readonly defragmentAfterMs?: number | undefined;
  /** How long data nodes may be silent. */
  readonly nodePatience?: NodePatience | undefined;
  /** The most that is copied between data nodes in a second to make lost replicas again; default: 100 MB. */
  readonly repairBytesPerSecond?: number | undefined;
  /** How long a chunk that nobody refers to is kept; default: a minute. */
  readonly graceMs?: number | undefined;
  /** Memory for knowing what clients cache; default: 192 MiB. */
  readonly leaseBytes?: number | undefined;
  /** How often the metadata is backed up to the data nodes while it changes; default: never. */
  readonly backupIntervalMs?: number | undefined;
  /** Memory for knowing what clients have to themselves; default: 64 MiB. */
  readonly exclusiveBytes?: number | undefined;
  /** How long an inode that was recalled is given to nobody alone; default: a fifth of a second. */
  readonly exclusivePauseMs?: number | undefined;
  /** How long a client may use a grant to store a chunk; default: an hour. */
  readonly grantLifetimeMs?: number | undefined;
  /** How long a client may believe what it caches without renewing its lease; default and most: LEASE_MS. */
  readonly leaseMs?: number | undefined;
  /** Asks a data node who it is, where it says that others reach it; default: whatever a node says is believed. */
  readonly askIdentity?: AskIdentity | undefined;
  /** Where a file of a backup is kept until the data nodes have it. */
  readonly backupSpoolPath?: string | undefined;
  /** Issues certificates; default: nobody can join. */
  readonly authority?: CertificateAuthority | undefined;
  /** What this process knows to be revoked, which its connections go by. */
  readonly revocations?: Revocations | undefined;
  /** How long a member's certificate holds; default: 90 days. */
  readonly certificateLifetimeMs?: number | undefined;
}

/** How long an answer may take to be sent that is the last one on its connection. */
const ANSWER_MS = 200;
const DEFAULT_DEFRAGMENT_AFTER_MS = 60_000;
const DEFAULT_REPAIR_BYTES_PER_SECOND = 100_000_000;

export class MetadataService {
  readonly #store: Store;
  readonly #options: MetadataServiceOptions;
  readonly #commits: GroupCommit;
  readonly #state: ServerState;
  readonly #inodeNumbers: IdAllocator;
  readonly #chunkIds: IdAllocator;
  readonly #background: BackgroundWork;
  readonly #repair: RepairWork;
  readonly #defragmenter: Defragmenter;
  readonly #backup: BackupWork;
  readonly #probe: ReachProbe | undefined;
  readonly #roomWatch: RoomWatch;
  readonly #recalls: Recalls;
  readonly #replay: IntentReplay;
  readonly #requests: LeasedRequests;
  readonly #gone: GoneClients;
  /** How data nodes are told what to do. */
  readonly #orders = new NodeOrders();
  #fsck: FsckJob | undefined;
  #fsckRunning: Promise<void> | undefined;
  readonly #bindings = new SessionBindings();
  #closing: Promise<void> | undefined;

  /** @param store open; the service closes it */
  constructor(store: Store, options: MetadataServiceOptions) {
    this.#store = store;
    this.#options = options;
    const { clock, random, log } = options;
    const unsynced = new UnsyncedReplicas(clock);
    const replicas = new ReplicaSync({
      clock,
      log,
      unsynced,
      connectionOf: node => this.#orders.connectionOf(node),
      forget: async (node, chunks) => await this.#forgetReplicas(node, chunks),
    });
    this.#commits = new GroupCommit(store, { ...options, replicas });
    const onFailure = (error: unknown): void => log.error({ err: error }, 'numbers could not be reserved');
    this.#inodeNumbers = new IdAllocator('inode', this.#commits, onFailure);
    this.#chunkIds = new IdAllocator('chunk', this.#commits, onFailure);
    const sessions = new SessionTable();
    const nodes = new NodeTable(clock.monotonicMs(), options.nodePatience);
    const steadyMs = steadyClock(clock);
    const opens = new OpenTable();
    const intentLogs = new IntentLogs();
    const exclusive = new ExclusiveLeases(
      clock,
      options.exclusiveBytes,
      options.exclusivePauseMs,
      intentLogs,
    );
    const leases = new LeaseTable(
      clock,
      log,
      exclusive,
      (session, inode) => opens.isOpenElsewhere(session, inode),
      async session => await this.#gone.fence(session),
      options.leaseBytes,
      options.leaseMs,
    );
    this.#backup = new BackupWork({
      clock,
      steadyMs,
      log,
      cluster: store.cluster.cluster,
      nodes,
      source: store.backup,
      room: store.room,
      connectionOf: node => this.#orders.connectionOf(node),
      intervalMs: options.backupSpoolPath === undefined ? 0 : (options.backupIntervalMs ?? 0),
      spoolPath: options.backupSpoolPath ?? '',
    });
    this.#state = {
      cluster: store.cluster,
      readGrantKey: new ReadGrantKey(store.cluster.grantKey),
      room: store.room,
      run: random.bytes(RUN_BYTES).toString('hex'),
      sessions,
      opens,
      unlinked: new UnlinkedInodes(),
      locks: new LockService(clock, sessions),
      leases,
      exclusive,
      changedNames: new ChangedNames(steadyMs()),
      intentLogs,
      nodes,
      backup: this.#backup,
      membership: new Membership({
        log,
        authority: options.authority,
        revocations: options.revocations ?? new Revocations(),
        certificateLifetimeMs: options.certificateLifetimeMs,
      }),
      exports: new Exports(),
      repair: new RepairNotes(),
      unsynced,
      damage: new DamageLog(),
      inodeNumbers: this.#inodeNumbers,
      chunkIds: this.#chunkIds,
      grantLifetimeMs: options.grantLifetimeMs ?? GRANT_LIFETIME_MS,
      graceMs: options.graceMs ?? DEFAULT_GRACE_MS,
      startedMs: steadyMs(),
      steadyMs,
      clock,
      random,
    };
    this.#state.exports.onLeft = peer => this.#closeSoon(peer, 'a directory was moved out of its reach');
    this.#recalls = new Recalls({
      clock,
      log,
      exclusive,
      leases,
      forfeit: async session => await this.#gone.forfeit(session),
      fence: async session => await this.#gone.fence(session),
    });
    this.#replay = new IntentReplay({
      clock,
      log,
      logs: intentLogs,
      exclusive,
      nodes,
      connectionOf: node => this.#orders.connectionOf(node),
      run: async piece => await this.#requests.run(piece),
    });
    this.#requests = new LeasedRequests(this.#state, this.#commits, this.#recalls, this.#replay);
    this.#gone = new GoneClients({
      log,
      state: this.#state,
      run: async piece => await this.#requests.run(piece),
    });
    this.#roomWatch = new RoomWatch(clock, log, store.room, this.#recalls);
    this.#repair = new RepairWork({
      clock,
      log,
      state: this.#state,
      run: async piece => await this.#requests.run(piece),
      orderCopy: async (node, order) => await this.#orders.copy(node, order),
      bytesPerSecond: options.repairBytesPerSecond ?? DEFAULT_REPAIR_BYTES_PER_SECOND,
    });
    this.#defragmenter = new Defragmenter({
      clock,
      log,
      state: this.#state,
      run: async piece => await this.#requests.run(piece, 'stop'),
      look: async piece => await this.#requests.run(piece),
      orderAssembly: async (node, order) => await this.#orders.assemble(node, order),
      quietMs: options.defragmentAfterMs ?? DEFAULT_DEFRAGMENT_AFTER_MS,
    });
    const { askIdentity: ask } = options;
    this.#probe = ask && new ReachProbe({ clock, log, nodes, ask });
    this.#background = new BackgroundWork({
      clock,
      log,
      state: this.#state,
      run: async piece => await this.#requests.run(piece),
    });
  }

  get cluster(): string {
    return this.#store.cluster.cluster;
  }

  get locks(): LockService {
    return this.#state.locks;
  }

  /** Reads what an earlier process left, reserves numbers, and begins the background work. */
  async start(): Promise<void> {
    await this.#commits.submit(async tx => await loadState(tx, this.#state));
    await this.applyRevocations();
    await this.#inodeNumbers.start();
    await this.#chunkIds.start();
    this.#roomWatch.start();
    this.#background.start();
    this.#replay.start();
    this.#probe?.start();
    this.#repair.start();
    this.#defragmenter.start();
    this.#backup.start();
  }

  /**
   * Executes a request in a transaction and resolves when its result is committed. Rejects with a DfsError: what the
   * operation refuses, EACCES when it names a session that is not the connection's, or EIO or ENOSPC from the database.
   * @param peer the connection by which the request came
   */
  async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
    peer?: Peer,
  ): Promise<Static<Reply>> {
    // It names a session to prove that it is its client.
    if (operation.command.number !== sessionOperation.command.number) this.#bindings.check(request, peer);
    if (peer) this.#noteHeard(peer);
    const once = onceOf(request);
    const session = once?.session ?? (peer && this.#bindings.of(peer));
    const { exclusive } = this.#state;
    // Without an await where it is not needed, which is nearly always.
    if (exclusive.isUnsure(session ?? 0) && needsTurn(operation.command.number)) {
      await this.#recalls.untilSure(session ?? 0);
    }
    return await this.#requests.execute(operation, request, once, session, peer);
  }

  /**
   * A request that no operation answers, as far as the session may send it. EACCES when it names a session that is not the connection's,
   * or something out of that one's reach; EROFS.
   */
  async admit<Request extends TSchema>(
    command: Command<Request>,
    request: Static<Request> & object,
    peer: Peer,
  ): Promise<Static<Request>> {
    this.#bindings.check(request, peer);
    const rights = this.#state.exports.of(peer);
    if (!rights) return request;
    return await this.#commits.submit(async tx => await admit(command, request, rights, tx), peer);
  }

  /**
   * The rules for exports have changed: clients that have other rights by them than before are disconnected, and get those when they come
   * back.
   */
  async applyExports(): Promise<void> {
    const { exports, membership } = this.#state;
    for (const connection of membership.connections()) {
      const hasChanged = await this.#commits.submit(async tx => await exports.hasChanged(tx, connection));
      if (hasChanged) connection.close(new DfsError('ECONNRESET', 'what this client may mount has changed'));
    }
  }

  /** As `applyExports`, when an answer that is about to be sent has been sent. */
  applyExportsSoon(): void {
    const { clock, log } = this.#options;
    clock.setTimer(ANSWER_MS, () => {
      this.applyExports().catch((error: unknown) =>
        log.error({ err: error }, 'clients have the rights of before'),
      );
    });
  }

  /**
   * Renews a session and its lease. One that is known to cache waits for no transaction, since there is nothing to record:
   * a busy database takes nobody's lease away. EACCES as `execute`, ESTALE.
   */
  async renew(request: RequestOf<typeof renew.command>, peer: Peer): Promise<ReplyOf<typeof renew.command>> {
    this.#bindings.check(request, peer);
    const { sessions, leases, clock } = this.#state;
    const known = sessions.get(request.session);
    if (known?.caches !== true || request.caches !== true) return await this.execute(renew, request, peer);
    sessions.require(known.id, clock.monotonicMs());
    return { leaseMs: leases.renew(known.id) };
  }

  /** Gives a session inodes to itself, as far as nobody else uses them. EACCES as `execute`, ESTALE. */
  async hold(request: RequestOf<typeof hold.command>, peer: Peer): Promise<ReplyOf<typeof hold.command>> {
    const { session, turn = false, ...rest } = request;
    if (!turn) return await this.execute(hold, { session, ...rest }, peer);
    this.#bindings.check(request, peer);
    // Others are asked to give back only what the session may have.
    const asked = this.#state.exports.of(peer) ? await this.admit(hold.command, request, peer) : request;
    const [inode] = asked.inodes;
    const reply = inode === undefined ? undefined : await this.#requests.takeTurn(asked, inode, peer);
    return reply ?? (await this.execute(hold, { session, ...rest }, peer));
  }

  /**
   * Every request on this connection says from now on that the session's client lives, and comes from it.
   * @param calls what the client is asked by it
   */
  bind(peer: Peer, session: number, isResumed: boolean, calls: ClientCalls): void {
    this.#bindings.bind(peer, session);
    this.#state.leases.connect(session, peer, calls, isResumed);
  }

  /** Registers a data node, which takes orders by this connection from now on. */
  async register(
    request: RequestOf<typeof reg.command>,
    connection: NodeConnection,
  ): Promise<ReplyOf<typeof reg.command>> {
    const { nodes } = this.#state;
    await this.#probe?.tryFirst(request);
    const reply = await this.execute(reg, request, connection);
    if (reply.result !== 'NAK') this.#orders.bind(reply.node, connection);
    // Nothing is remembered of an address that is refused.
    else if (!nodes.isAt(request)) nodes.reach.forget(request);
    return reply;
  }

  /** A member with a certificate is connected. */
  connected(connection: PeerConnection): void {
    if (connection.member?.certificate) this.#state.membership.connected(connection);
  }

  /** Finds a token that counts, for whoever proves to know it. */
  async findToken(id: Uint8Array): Promise<KnownToken | undefined> {
    const record = await this.#commits.submit(async tx => await tx.tokens.get(id));
    return record && record.expiresMs > this.#state.steadyMs() ? record : undefined;
  }

  /** What was revoked counts from now on: connections are closed, and other members are told. */
  async applyRevocations(): Promise<void> {
    this.#state.membership.setRevoked(
      await this.#commits.submit(async tx => await tx.certificates.revoked()),
    );
  }

  /** As `applyRevocations`, when an answer that is about to be sent has been sent. */
  applyRevocationsSoon(): void {
    const { clock, log } = this.#options;
    clock.setTimer(ANSWER_MS, () => {
      this.applyRevocations().catch((error: unknown) =>
        log.error({ err: error }, 'what was revoked is not known'),
      );
    });
  }

  get backup(): BackupWork {
    return this.#backup;
  }

  /** Begins a check of everything. EBUSY while one is under way. */
  startFsck(isDeep: boolean, isRepairing: boolean): void {
    if (this.#fsck?.isRunning === true) throw new DfsError('EBUSY', 'a check is under way already');
    const { clock, log } = this.#options;
    this.#fsck = new FsckJob({
      clock,
      log,
      state: this.#state,
      run: async piece => await this.#requests.run(piece, 'stop'),
      check: this.#store.check(),
      orderVerify: async (node, order) => await this.#orders.verify(node, order),
      isDeep,
      isRepairing,
    });
    this.#fsckRunning = this.#fsck.execute();
  }

  /** How far the last check is. ENOENT when there was none; what it failed of. */
  fsckStatus(from: number): FsckStatus {
    if (!this.#fsck) throw new DfsError('ENOENT', 'no check was begun since the metadata server started');
    return this.#fsck.status(from);
  }

  /** How the replicas are. */
  repairStatus(): RepairStatus {
    const { isShort, freeBytes } = this.#state.room;
    const repair = { ...this.#repair.status(), databaseRoom: { isShort, freeBytes } };
    const nodes = this.#state.nodes.status(this.#state.clock.monotonicMs());
    return { ...repair, health: healthConditions({ repair, nodes, backup: this.#backup.status() }) };
  }

  /** Finishes what was begun, puts everything on stable storage and closes the store. May be called twice. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    this.#state.locks.close();
    this.#fsck?.stop();
    this.#probe?.close();
    await this.#roomWatch.close();
    await this.#background.close();
    await this.#replay.close();
    await this.#backup.close();
    await this.#repair.close();
    await this.#defragmenter.close();
    await this.#fsckRunning;
    this.#recalls.close();
    this.#state.leases.close();
    await this.#commits.close();
    await this.#store.close();
  }

  /** Whoever comes back drops what it has kept. */
  #closeSoon(peer: Peer, why: string): void {
    this.#options.clock.setTimer(ANSWER_MS, () => {
      const found = this.#state.membership.connections().find(each => each === peer);
      found?.close(new DfsError('ECONNRESET', why));
    });
  }

  /** Never rejects: what could not be recorded the node's next inventory tells. */
  async #forgetReplicas(node: number, chunks: readonly number[]): Promise<void> {
    const { log } = this.#options;
    log.warn({ node, chunks: chunks.length }, 'a data node lost chunks that it had taken');
    try {
      await this.#requests.run(async (tx, context) => {
        for (const chunk of chunks) await forgetReplica(tx, node, chunk, context);
        return false;
      });
    } catch (error) {
      log.warn({ node, reason: toDfsError(error).message }, 'lost chunks could not be taken off the record');
    }
  }

  #noteHeard(peer: Peer): void {
    const session = this.#bindings.of(peer);
    const known = session === undefined ? undefined : this.#state.sessions.get(session);
    if (known) known.heardMs = this.#options.clock.monotonicMs();
  }
}
