/**
 * What a client has at the metadata server, put together from its rooms: the session itself (server-session.ts), requests
 * (client/requests/), open inodes (client/opens/), the lease and the caches under it, and the log of changes that were
 * acknowledged ahead. It decides nothing itself; it tells one room what another one learned.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Endpoint } from '../../platform/network.js';
import type { Command, ReplyOf, RequestOf } from '../../protocol/command.js';
import type { DfsError } from '../../protocol/errors.js';
import type { Rights } from '../../protocol/export-commands.js';
import { endlog } from '../../protocol/content-commands.js';
import { getattr } from '../../protocol/namespace-commands.js';
import { batch, hold, recall, renew, revoke, sync } from '../../protocol/session-commands.js';
import type { SessionState } from '../../protocol/take-over.js';
import type { Attributes } from '../../protocol/types.js';
import type { Capability } from '../../protocol/version.js';
import type { RpcConnection } from '../../rpc/connection.js';
import { Routes } from '../../rpc/routes.js';
import type { AttributeCache } from '../caches/attribute-cache.js';
import type { ClientLimits } from '../client-limits.js';
import type { CacheSizes } from '../caches/cache-sizes.js';
import { MetadataCaches } from '../caches/metadata-caches.js';
import type { NameCache } from '../caches/name-cache.js';
import type { LinkTargets } from '../caches/link-targets.js';
import type { XattrCache } from '../caches/xattr-cache.js';
import { Acquisition } from '../leases/acquisition.js';
import { CacheLease } from '../leases/cache-lease.js';
import { HeldInodes } from '../leases/held-inodes.js';
import { HeldLocks } from '../locks/held-locks.js';
import { ChangeLog, type ChangeLogPeer } from '../log/change-log.js';
import { ForetoldChanges, type OnMisprediction } from '../log/foretold-changes.js';
import { IntentLogs } from '../log/intent-logs.js';
import { OpenInodes } from '../opens/open-inodes.js';
import { LostChanges, lostWithPower } from '../requests/lost-changes.js';
import { NumberedRequests } from '../requests/numbered-requests.js';
import { OrderedChanges } from '../requests/ordered-changes.js';
import { Requests } from '../requests/requests.js';
import { UnsyncedChanges } from '../requests/unsynced-changes.js';
import { ServerClock } from './server-clock.js';
import { ServerSession, type ServerSessionOptions } from './server-session.js';

export interface MetadataSessionOptions extends ServerSessionOptions {
  /** How long a request waits for an absent metadata server before it fails with EIO. */
  readonly timeoutMs: number;
  /** See ClientOptions. */
  readonly onMisprediction?: OnMisprediction | undefined;
  /** A session that an earlier process has begun; a new one begins when left out. */
  readonly begun?: SessionState | undefined;
  readonly cacheSizes: CacheSizes;
  /** Those that are not the usual ones. */
  readonly limits?: ClientLimits | undefined;
}

export class MetadataSession {
  readonly #options: MetadataSessionOptions;
  readonly #server: ServerSession;
  readonly #requests: Requests;
  readonly #numbered: NumberedRequests;
  readonly #unsynced: UnsyncedChanges;
  readonly #lost = new LostChanges();
  readonly #caches: MetadataCaches;
  /** What was acknowledged is not waited for without end any more. */
  #isEnding = false;
  /** Told of the inodes on which locks were lost, because the client was away for too long. */
  onLocksLost: (inodes: readonly number[]) => void = () => undefined;
  /** Told that the server has ended the session, because the client was away for too long. */
  onSessionLost: () => void = () => undefined;
  /**
   * Told that the server was started anew: versions of files begin where its disk left them. `lost`: inodes whose
   * changes it had answered and has lost with its power.
   */
  onServerStarted: (lost: readonly number[]) => void = () => undefined;
  /** Told of inodes of which a program was told that something is done, and it is not. */
  onChangesLost: (inodes: readonly number[], reason: DfsError) => void = () => undefined;
  /** Told of what others have just put into directories at which programs of this client look. */
  onAppeared: (inodes: readonly Attributes[]) => void = () => undefined;
  /**
   * The server takes inodes back (undefined: nearly all of them). Resolves when every change of them that a program relies on is in
   * the log. Never rejects.
   */
  onRecall: (inodes: readonly number[] | undefined) => Promise<void> = async () => undefined;
  /** What the server is told when the session is resumed. */
  readonly heldLocks = new HeldLocks();
  /** The metadata server's clock: what this client writes and decides has its times. */
  readonly serverClock: ServerClock;
  /** Whether what the server tells may be kept. */
  readonly lease: CacheLease;
  /** The inodes that this client may change before the server knows of it. */
  readonly held: HeldInodes;
  readonly #acquisition: Acquisition;
  /** What it was not told yet. */
  readonly changes: ChangeLog;
  readonly foretold: ForetoldChanges;
  /** Changes that the server is asked for. */
  readonly ordered: OrderedChanges;
  /** The inodes that this client has open. */
  readonly opens: OpenInodes;
  /** Files that are synced by data nodes alone. */
  readonly intents: IntentLogs;

  constructor(options: MetadataSessionOptions) {
    this.#options = options;
    const { clock, log, timeoutMs } = options;
    this.serverClock = new ServerClock(clock);
    this.lease = new CacheLease(clock, log);
    this.held = new HeldInodes(this.lease);
    const caches = new MetadataCaches(this.lease, options.cacheSizes);
    this.#caches = caches;
    this.#acquisition = new Acquisition({
      clock,
      log,
      lease: this.lease,
      held: this.held,
      names: caches.names,
      attributes: caches.attributes,
      xattrs: caches.xattrs,
      ask: async (inodes, turn) => await this.#hold({ inodes: [...inodes], turn, reserve: 0 }),
    });
    const unsynced = new UnsyncedChanges(clock);
    this.#unsynced = unsynced;
    this.changes = this.#createLog();
    const server = this.#createSession();
    this.#server = server;
    const requests = new Requests({
      clock,
      timeoutMs,
      server,
      acknowledged: this.changes,
      acquisition: this.#acquisition,
    });
    this.#requests = requests;
    this.#numbered = new NumberedRequests({
      server,
      requests,
      unsynced,
      caches,
      acquisition: this.#acquisition,
      sequence: options.begun?.sequence,
    });
    this.opens = new OpenInodes({
      clock,
      log,
      server,
      requests,
      caches,
      maxOpenInodes: options.limits?.maxOpenInodes,
    });
    this.lease.addKeeper(this.opens);
    this.ordered = new OrderedChanges({
      clock,
      log: this.changes,
      held: this.held,
      opens: this.opens,
      requests,
      numbered: this.#numbered,
    });
    this.foretold = new ForetoldChanges({
      clock: this.serverClock,
      log,
      onMisprediction: options.onMisprediction,
      lease: this.lease,
      held: this.held,
      attributes: caches.attributes,
      names: caches.names,
      xattrs: caches.xattrs,
      targets: caches.targets,
      changes: this.changes,
      client: {
        isBusy: () => this.ordered.isBusy,
        isBusyBefore: () => this.ordered.isExecuting,
        isOpen: inode => this.opens.has(inode),
        lost: (inodes, reason) => this.onChangesLost(inodes, reason),
        changed: inodes => {
          for (const inode of inodes) this.intents.void(inode);
        },
      },
    });
    this.intents = new IntentLogs({
      log,
      held: this.held,
      syncsBefore: options.limits?.syncsBeforeLog,
      attributes: inode => caches.attributes.get(inode),
      greetings: () => server.greetings,
      sync: async () => await this.sync(),
      end: async ({ inode, number, committed }) =>
        void (await this.ask(endlog, { inode, log: number, last: committed })),
    });
    if (options.begun) this.#restore(options.begun);
  }

  /** The attributes of inodes, from the server's replies. */
  get attributes(): AttributeCache {
    return this.#caches.attributes;
  }

  get names(): NameCache {
    return this.#caches.names;
  }

  get xattrs(): XattrCache {
    return this.#caches.xattrs;
  }

  get targets(): LinkTargets {
    return this.#caches.targets;
  }

  /** What this client may do; undefined: everything. */
  get rights(): Rights | undefined {
    return this.#server.rights;
  }

  /** Whether the server can do what not every version can; it may be another one when the request comes there. */
  serverCan(capability: Capability): boolean {
    return this.#server.can(capability);
  }

  get cluster(): string {
    return this.#server.cluster;
  }

  /** The metadata server's address. */
  get metadataEndpoint(): Endpoint {
    return this.#options.metadata;
  }

  /** Connects and begins the session; one attempt, so that a wrong address is told at once. */
  async start(): Promise<void> {
    await this.#server.start();
  }

  /**
   * From now on this client keeps what it is told, as far as `lease` allows; when it resolves, whatever the caches had
   * from before is dropped. Rejects as a request does.
   */
  async beginCaching(): Promise<void> {
    this.lease.want();
    await this.#requests.untilAnswered(renew.name, async (connection, timeoutMs) => {
      await this.#server.renewOn(connection, timeoutMs);
    });
    this.#server.scheduleRenewal();
    await this.lease.begun();
  }

  /** A request that changes nothing, or may be repeated without harm (requests.ts). EIO when the server stays away. */
  ask<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Static<Request>,
  ): Promise<Static<Reply>> {
    return this.#requests.ask(command, request);
  }

  /** As `ask`, for a request that names the session; it is made anew for each connection by which it is sent. */
  askInSession<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    requestOf: (session: number, connection: RpcConnection) => Static<Request>,
  ): Promise<Static<Reply>> {
    return this.#requests.askInSession(command, requestOf);
  }

  /** Names in the directory are about to be changed: as OrderedChanges.quiesce, after this client's turn has come where others do so, too. */
  async beginChange(directory: number): Promise<void> {
    const { turns } = this.#acquisition;
    if (turns.isContested(directory)) await turns.take(directory, true);
    await this.ordered.quiesce(directory);
  }

  /**
   * Names in the directory are asked for, or its attributes: of one that this client is about to change that waits for its turn.
   * Undefined when there is nothing to wait for.
   */
  beginLookup(directory: number): Promise<void> | undefined {
    return this.mayDelayLookup(directory) ? this.#acquisition.turns.take(directory, false) : undefined;
  }

  /** Whether names that are asked for in the directory, or its attributes, may wait for this client's turn (`beginLookup`). */
  mayDelayLookup(directory: number): boolean {
    return this.#acquisition.turns.mayDelayLookup(directory);
  }

  /** Whether this client may change names in the directory without waiting for its turn; it does so now. */
  takeTurnNow(directory: number): boolean {
    return this.#acquisition.turns.takeNow(directory);
  }

  /** See Acquisition.acquire. */
  async acquire(inode: number): Promise<boolean> {
    return await this.#acquisition.acquire(inode);
  }

  /** Whether every change of this client that was answered is on stable storage already. */
  get isSynced(): boolean {
    return this.#unsynced.isEmpty && this.changes.isEmpty;
  }

  /** Every change that was answered is on stable storage when it resolves. */
  async sync(): Promise<void> {
    if (!this.changes.isEmpty) await this.#requests.drainedFor(sync.name);
    const answered = this.#unsynced.sequences();
    await this.ask(sync, {});
    this.#unsynced.synced(answered);
  }

  /** Changes that were acknowledged to a program and are gone; each is reported once. */
  get lost(): LostChanges {
    return this.#lost;
  }

  /** The newest attributes of an inode that this client may keep, or else the metadata server's. ENOENT, … */
  async getattr(inode: number): Promise<Attributes> {
    const turn = this.beginLookup(inode);
    if (turn) await turn;
    const kept = this.attributes.get(inode);
    if (kept) return kept;
    const ticket = this.attributes.ticket();
    const { attributes } = await this.ask(getattr, { inode });
    this.attributes.keep(ticket, attributes);
    return attributes;
  }

  /** From now on what was acknowledged is given up when the server stays away for the session's timeout. */
  beginEnding(): void {
    this.#isEnding = true;
  }

  /** What was acknowledged is committed, or after the session's timeout given up. */
  async finishChanges(): Promise<void> {
    this.beginEnding();
    await this.changes.drained();
  }

  /** The server has everything that programs were told is done, and knows what is closed. */
  async settled(): Promise<void> {
    await this.changes.drained();
    await this.opens.releasedAll();
  }

  /**
   * Stops using the session, so that another process may take it up by what is returned; undefined while a request is under way that may
   * change something.
   * @param lockRequests so many requests for locks were made
   */
  suspend(lockRequests: number): SessionState | undefined {
    const isIdle = this.#numbered.isIdle && this.changes.isEmpty && !this.ordered.isBusy;
    if (!isIdle || !this.opens.isReleased) return undefined;
    this.#server.suspend();
    const { path, ...begun } = this.#server.begun;
    return {
      ...begun,
      ...(path ? { path: [...path] } : {}),
      sequence: this.#numbered.sequence,
      lockRequests,
      locks: this.heldLocks.all(),
      opens: this.opens.state(),
      unsynced: this.#unsynced.state(),
      lost: this.#lost.state(),
    };
  }

  /** Goes on with the session after `suspend`: no other process has used it. */
  goOn(): void {
    this.#server.goOn();
  }

  /** Stops using the session for good; it goes on with another process. */
  leave(): void {
    this.opens.close();
    this.lease.close();
    this.#server.suspend();
  }

  #restore({ locks, opens, unsynced, lost }: SessionState): void {
    for (const lock of locks) this.heldLocks.add(lock);
    this.opens.restore(opens);
    for (const change of unsynced) this.#unsynced.add(change.sequence, change);
    this.#lost.restore(lost);
  }

  /** Ends the session if the server is there, and closes the connection. May be called twice. */
  async close(): Promise<void> {
    if (this.#server.isClosed) return;
    await this.finishChanges();
    this.opens.close();
    this.lease.close();
    await this.#server.close();
  }

  #createLog(): ChangeLog {
    const { clock, log } = this.#options;
    const isPatient = (): boolean => !this.#isEnding;
    const peer: ChangeLogPeer = {
      ask: async reserve => await this.#hold({ inodes: [], reserve }),
      // Under no other session than that in which they were acknowledged.
      send: async (request, refusal, numbered) =>
        await this.#numbered.execute(batch, request, {
          refusal,
          numbered,
          isPatient,
          isNews: false,
        }),
      confirm: changed => this.#confirm(changed),
      broken: reason => {
        this.#lost.addUnknown(reason);
        this.#caches.loseAll();
      },
    };
    const { maxBatch } = this.#options.limits ?? {};
    return new ChangeLog(clock, log, this.lease, this.held, this.serverClock, peer, maxBatch);
  }

  async #hold(request: Omit<RequestOf<typeof hold>, 'session'>): Promise<ReplyOf<typeof hold>> {
    return await this.askInSession(hold, session => ({ session, ...request }));
  }

  /**
   * Inodes go back to the server: nothing more of them is acknowledged ahead, and everything that was is committed, with
   * what this client had acknowledged before.
   */
  async #recalled({ inodes, keep }: RequestOf<typeof recall>): Promise<ReplyOf<typeof recall>> {
    if (keep !== undefined) this.changes.voidNumbers();
    const { kept, recalled } =
      keep === undefined ? { kept: [], recalled: this.held.recall(inodes) } : this.held.keep(keep);
    try {
      await this.onRecall(keep === undefined ? recalled : undefined);
      // Others may take the last name of a file away from here on, that is open here.
      await this.opens.tell(recalled);
      await this.changes.drained();
    } finally {
      this.held.returned(recalled);
    }
    return { kept: [...kept] };
  }

  #createSession(): ServerSession {
    return new ServerSession(this.#options, {
      lease: this.lease,
      serverClock: this.serverClock,
      heldLocks: this.heldLocks,
      opens: () => this.opens.declareAll(),
      unsynced: () => this.#unsynced.sequences(),
      held: () => {
        // A server that was started anew does not know of numbers that are not in use yet.
        this.changes.voidNumbers();
        return this.held.declare();
      },
      routes: new Routes()
        .on(revoke, async revocation => {
          const used = this.names.dropsUsed(revocation);
          const dropped = this.lease.revoke(revocation);
          this.#tellNews(revocation, used);
          await dropped;
          return used.length > 0 ? { used } : {};
        })
        .on(recall, async request => await this.#recalled(request)),
      heldLost: () => {
        this.held.clear();
        this.changes.lose();
        this.lease.lose();
      },
      locksLost: inodes => this.onLocksLost(inodes),
      sessionLost: () => {
        this.held.clear();
        this.changes.lose();
        this.onSessionLost();
      },
      resumed: (isRestarted, lost) => {
        const { directories, inodes } = this.#unsynced.lose(lost);
        this.#lost.add(directories, lostWithPower('names in the directory'));
        this.#lost.add(inodes, lostWithPower('attributes'));
        if (isRestarted || lost.length > 0) this.onServerStarted(inodes);
      },
    });
  }

  /** Names in directories that programs of this client look at lead to inodes that are told with them. */
  #tellNews({ news }: RequestOf<typeof revoke>, watched: readonly number[]): void {
    if (!news || watched.length === 0) return;
    const named = new Set(
      news.names.filter(({ parent }) => watched.includes(parent)).map(({ inode }) => inode),
    );
    const appeared = news.attributes.filter(({ inode }) => named.has(inode));
    if (appeared.length > 0) this.onAppeared(appeared);
  }

  #confirm(changed: readonly Attributes[]): void {
    const wrong = this.foretold.confirm(changed);
    if (wrong.length === 0) return;
    this.attributes.change(this.attributes.ticket(), wrong, []);
    const inodes = wrong.map(({ inode, version }) => ({ inode, version }));
    void this.lease.dropFalse(inodes);
  }
}
