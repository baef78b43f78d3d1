/**
 * A client's session with the metadata server: survives broken connections and server restarts, and executes every
 * mutating request once (DESIGN decision 4).
 *
 *     connecting ──session──► ready ──connection lost──► connecting (same session resumed)
 *                               │                             │
 *                               └───────── close() ◄──────────┘     ended by the server: a new session begins, and
 *                                                                   what the old one had in flight fails with EIO
 */
import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { isDoneWithin, sleep, type Clock, type Timer } from '../../platform/clock.js';
import { formatDuration } from '../../platform/duration.js';
import type { Logger } from '../../platform/log.js';
import type { Endpoint, Network } from '../../platform/network.js';
import type { Random } from '../../platform/random.js';
import type { Command } from '../../protocol/command.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import {
  LEASE_RENEW_MS,
  MAX_OPEN_INODES,
  MAX_RELEASED,
  MAX_UNSYNCED_CHANGES,
  SESSION_RENEW_MS,
  SESSION_TIMEOUT_MS,
} from '../../protocol/limits.js';
import { amend, grant, open, release } from '../../protocol/content-commands.js';
import { getattr, statfs } from '../../protocol/namespace-commands.js';
import { nodes } from '../../protocol/cluster-commands.js';
import {
  batch as batchCommand,
  Changed,
  delegate,
  end,
  renew,
  revoke,
  session,
  sync,
} from '../../protocol/session-commands.js';
import { Attributes, type Caller, type Once } from '../../protocol/types.js';
import { isConnectionError, isSilence, RpcClient } from '../../rpc/client.js';
import type { RpcConnection } from '../../rpc/connection.js';
import { Routes } from '../../rpc/routes.js';
import { AttributeCache, type AttributeTicket } from '../caches/attribute-cache.js';
import type { CacheSizes } from '../caches/cache-sizes.js';
import { CacheLease } from '../leases/cache-lease.js';
import { ChangeLog } from '../log/change-log.js';
import { DelegatedChanges } from '../log/delegated-changes.js';
import { HeldLocks } from '../locks/held-locks.js';
import { NameCache } from '../caches/name-cache.js';
import { ServerClock } from './server-clock.js';
import { XattrCache } from '../caches/xattr-cache.js';
import type { Role } from '../../protocol/roles.js';
import type { Keyring } from '../../rpc/keyring.js';

const changedCheck = TypeCompiler.Compile(Changed);
const attributesCheck = TypeCompiler.Compile(Type.Object({ attributes: Attributes }));

export interface MetadataSessionOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metadata: Endpoint;
  readonly keys: Keyring;
  /** What it is to the servers: a client, or an administrator. */
  readonly role: Role;
  /** How long a request waits for an absent metadata server before it fails with EIO. */
  readonly timeoutMs: number;
  /** How long this client waits before it asks for the delegation again; default: a second after a recall. */
  readonly delegationPauseMs?: number | undefined;
  /** Who this is, for people. */
  readonly clientName: string;
  readonly cacheSizes: CacheSizes;
}

/** A server that took the connection but does not answer for this long is tried again on a new connection. */
const ATTEMPT_TIMEOUT_MS = 15_000;
const GREETING_TIMEOUT_MS = 5000;
const RETRY_PAUSE_MS = 20;
/** How often a client that caches tries to come back: others may wait for it to drop what it has. */
const RETURN_MS = 250;
/** Files that are closed within this time are given back to the server together. */
const RELEASE_AFTER_MS = 5;
/** The server puts every change on stable storage within a second of its answer; the rest is for slow clocks and disks. */
const UNSYNCED_MS = 5000;

/** Requests that tell and change nothing that is in the log of changes: they do not wait until the server has it. */
const BESIDE_THE_LOG: ReadonlySet<string> = new Set(
  [batchCommand, delegate, renew, release, grant, amend, nodes, statfs].map(({ name }) => name),
);

/** A change that was answered, and may be lost with the server's power. */
interface UnsyncedChange {
  /** The inodes that were changed; 0 for names. */
  readonly inodes: readonly number[];
  readonly answeredMs: number;
  /** How many changes were answered up to it. */
  readonly answers: number;
}

export class MetadataSession {
  readonly #options: MetadataSessionOptions;
  readonly #rpc: RpcClient;
  #session = 0;
  #secret: Uint8Array = new Uint8Array();
  #cluster = '';
  #sequence = 0;
  /** Sequences whose replies have not arrived. */
  readonly #outstanding = new Set<number>();
  /** inode → how many handles of this client have it open */
  readonly #opens = new Map<number, number>();
  /** Those of them of which the server was not told. */
  readonly #unregistered = new Set<number>();
  /** inode → the telling that is under way */
  readonly #registering = new Map<number, Promise<void>>();
  /** Inodes that are not open any more, of which the server was not told yet. */
  readonly #releasing = new Set<number>();
  #releaseTimer: Timer | undefined;
  /** Requests under way that take names away. */
  #removals = 0;
  /** sequence → what the server may lose with its power; the oldest first */
  readonly #unsynced = new Map<number, UnsyncedChange>();
  #answers = 0;
  /** Why names that were changed, as programs were told, are as they were before; until that was told. */
  #lostNames: DfsError | undefined;
  /** Requests under way that change something, apart from batches. */
  readonly #changing = new Set<Promise<unknown>>();
  #run = '';
  /** What the server is told when the session is resumed. */
  readonly heldLocks = new HeldLocks();
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
  /** The metadata server's clock: what this client writes and decides has its times. */
  readonly serverClock: ServerClock;
  /** Whether what the server tells may be kept. */
  readonly lease: CacheLease;
  /** What it told of inodes. */
  readonly attributes: AttributeCache;
  readonly names: NameCache;
  readonly xattrs: XattrCache;
  /** What it was not told yet. */
  readonly changes: ChangeLog;
  readonly delegated: DelegatedChanges;
  #renewTimer: Timer | undefined;
  #isClosed = false;
  /** What was acknowledged is not waited for without end any more. */
  #isEnding = false;

  constructor(options: MetadataSessionOptions) {
    this.#options = options;
    const { cacheSizes } = options;
    this.serverClock = new ServerClock(options.clock);
    this.lease = new CacheLease(options.clock, options.log);
    this.attributes = new AttributeCache(this.lease, cacheSizes.attributeBytes);
    this.lease.addKeeper(this.attributes);
    this.names = new NameCache(this.lease, cacheSizes.nameBytes);
    this.lease.addKeeper(this.names);
    this.xattrs = new XattrCache(this.lease, this.attributes, cacheSizes.xattrBytes);
    this.lease.addKeeper(this.xattrs);
    this.lease.addKeeper({
      drop: async ({ inodes }) => {
        if (this.#unregistered.size > 0) await this.#register(inodes.map(({ inode }) => inode));
      },
      dropAll: async () => await this.#register([...this.#unregistered]),
    });
    const { clock, log } = options;
    this.changes = new ChangeLog(
      clock,
      log,
      this.lease,
      this.serverClock,
      {
        ask: async reserve => await this.askInSession(delegate, number => ({ session: number, reserve })),
        // Under no other session than that in which they were acknowledged.
        send: async request =>
          await this.#executeNumbered(
            batchCommand,
            request,
            () => undefined,
            false,
            () => !this.#isEnding,
          ),
        confirm: changed => this.#confirm(changed),
        broken: reason => this.#loseAcknowledged(reason),
      },
      options.delegationPauseMs,
    );
    this.delegated = new DelegatedChanges({
      clock: this.serverClock,
      log,
      lease: this.lease,
      attributes: this.attributes,
      names: this.names,
      xattrs: this.xattrs,
      changes: this.changes,
      client: {
        isBusy: () => this.#changing.size > 0,
        isOpen: inode => this.#opens.has(inode),
        lost: (inodes, reason) => this.onChangesLost(inodes, reason),
      },
    });
    this.#rpc = new RpcClient({
      network: options.network,
      clock: options.clock,
      random: options.random,
      log: options.log,
      endpoint: options.metadata,
      keys: options.keys,
      role: options.role,
      server: 'metadata',
      greet: async connection => await this.#greet(connection),
      routes: new Routes().on(revoke, async revocation => {
        // Not for what is merely dropped: two clients that did would wait for each other, since what one of them has to
        // commit first waits until the other one has answered.
        if (revocation.recall === true) await this.changes.giveBack();
        await this.lease.revoke(revocation);
        return {};
      }),
    });
  }

  /** Connects and begins the session; one attempt, so that a wrong address is told at once. */
  async start(): Promise<void> {
    await this.#rpc.connect(this.#options.clock.monotonicMs());
    this.#scheduleRenewal();
  }

  /**
   * From now on this client keeps what it is told, as far as `lease` allows; when it resolves, whatever the caches had
   * from before is dropped. Rejects as a request does.
   */
  async beginCaching(): Promise<void> {
    this.lease.want();
    await this.#untilAnswered(renew.name, async (connection, timeoutMs) => {
      await this.#renewOn(connection, timeoutMs);
    });
    this.#scheduleRenewal();
    await this.lease.begun();
  }

  get cluster(): string {
    return this.#cluster;
  }

  /** The address by which the metadata server sees this client. */
  get metadataEndpoint(): Endpoint {
    return this.#options.metadata;
  }

  /**
   * Sends a request that changes nothing, or that may be repeated without harm. Waits for an absent server up to the
   * session's timeout, then fails with EIO.
   */
  async ask<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Static<Request>,
  ): Promise<Static<Reply>> {
    return await this.#untilAnswered(command.name, async (connection, timeoutMs) => {
      const { reply } = await connection.call(command, request, { timeoutMs });
      return reply;
    });
  }

  /** As `ask`, for a request that names the session; it is made anew for each connection by which it is sent. */
  async askInSession<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    requestOf: (session: number, connection: RpcConnection) => Static<Request>,
  ): Promise<Static<Reply>> {
    return await this.#untilAnswered(command.name, async (connection, timeoutMs) => {
      const { reply } = await connection.call(command, requestOf(this.#session, connection), { timeoutMs });
      return reply;
    });
  }

  /**
   * Sends a request that changes something, numbered so that the server executes it once however often it is sent.
   * EIO when the server stayed away, or ended the session while the request was under way.
   * @param refusal for what was acknowledged to a program earlier: why it must not be sent (again), if it must not. Nor
   *   is it done under a later session, since others may have gone on without it
   * @param isPatient asked when the server has stayed away for the session's timeout: whether to go on waiting
   */
  async execute<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    refusal?: () => DfsError | undefined,
    isPatient?: () => boolean,
  ): Promise<Static<Reply>> {
    this.changes.noteRequest();
    const changing = this.#executeNumbered(command, request, refusal, true, isPatient);
    this.#changing.add(changing);
    try {
      return await changing;
    } finally {
      this.#changing.delete(changing);
    }
  }

  /**
   * Waits, if this client may decide alone, for the requests under way that keep it from knowing how things are; else
   * several programs that ask the server would keep each other asking.
   */
  async quiesce(): Promise<void> {
    if (this.#changing.size > 0 && this.changes.isOpen) await Promise.allSettled(this.#changing);
  }

  /** @param isNews what it changes is not known before it is answered */
  async #executeNumbered<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    refusal: (() => DfsError | undefined) | undefined,
    isNews: boolean,
    isPatient?: () => boolean,
  ): Promise<Static<Reply>> {
    this.#sequence += 1;
    const sequence = this.#sequence;
    let executing = refusal ? this.#session : 0;
    let answersBefore = 0;
    const isDurable = 'durable' in request && request.durable === true;
    this.#outstanding.add(sequence);
    const ticket = this.attributes.ticket();
    try {
      const reply = await this.#untilAnswered(
        command.name,
        async (connection, timeoutMs) => {
          if (executing !== 0 && executing !== this.#session) {
            throw new DfsError(
              'EIO',
              `the metadata server ended this session while '${command.name}' was under way`,
            );
          }
          const refused = refusal?.();
          if (refused) throw refused;
          executing = this.#session;
          answersBefore = this.#answers;
          const once: Once = { session: executing, sequence, acknowledged: this.#acknowledged() };
          const numbered = withOnce(request, once) as Static<Request>;
          const answer = await connection.call(command, numbered, { timeoutMs });
          return answer.reply;
        },
        isPatient,
      );
      // The log is on stable storage up to this change, with all that was answered before it was sent.
      if (isDurable) this.#noteSynced(answersBefore);
      else this.#noteUnsynced(sequence, request);
      if (isNews) this.#learnChanges(ticket, reply);
      return reply;
    } catch (error) {
      // A part of it may have been done.
      this.attributes.changeUnknown();
      throw error;
    } finally {
      this.#outstanding.delete(sequence);
    }
  }

  /** Whether every change of this client that was answered is on stable storage already. */
  get isSynced(): boolean {
    return this.#unsynced.size === 0 && this.changes.isEmpty;
  }

  /** Every change that was answered is on stable storage when it resolves. */
  async sync(): Promise<void> {
    if (!this.changes.isEmpty) await this.#drainedFor(sync.name);
    const answered = [...this.#unsynced.keys()];
    await this.ask(sync, {});
    for (const sequence of answered) this.#unsynced.delete(sequence);
  }

  /** As `sync`; EIO, once, when the server lost changes of names that it had answered. */
  async syncNames(): Promise<void> {
    await this.sync();
    this.tellLostNames();
  }

  /** EIO, once, when names were changed, as a program was told, and are as they were before. */
  tellLostNames(): void {
    const lost = this.#lostNames;
    this.#lostNames = undefined;
    if (lost) throw lost;
  }

  /** The newest attributes of an inode that this client may keep, or else the metadata server's. ENOENT, … */
  async getattr(inode: number): Promise<Attributes> {
    const kept = this.attributes.get(inode);
    if (kept) return kept;
    const ticket = this.attributes.ticket();
    const { attributes } = await this.ask(getattr, { inode });
    this.attributes.keep(ticket, attributes);
    return attributes;
  }

  /**
   * Opens an inode for one more handle: unlinked by anybody, it lives until the last `release`. ENFILE, ENOENT, EACCES, …
   * @param access what `caller` must be allowed: 4 to read, 2 to write, 1 to execute, or several together
   */
  async open(inode: number, access: number, caller: Caller | undefined): Promise<Attributes> {
    this.noteOpen(inode);
    try {
      const { attributes } = await this.#untilAnswered(open.name, async (connection, timeoutMs) => {
        const request = { inode, session: this.#session, ...(caller ? { access, caller } : {}) };
        const { reply } = await connection.call(open, request, { timeoutMs });
        return reply;
      });
      this.#unregistered.delete(inode);
      return attributes;
    } catch (error) {
      this.#forgetOpen(inode);
      throw error;
    }
  }

  /**
   * Opens an inode whose attributes are kept under the lease, without asking anybody; undefined when they are not.
   * Nobody can remove the file without revoking them, and then the server is told that it is open, before the revocation
   * is answered (`#register`); so it lives on as if it had been told at once.
   */
  openKnown(inode: number): Attributes | undefined {
    // What is being removed may be this inode, and its removal may have been executed.
    const kept = this.#removals === 0 ? this.attributes.get(inode) : undefined;
    if (!kept) return undefined;
    const isNew = !this.#opens.has(inode) && !this.#releasing.has(inode) && !this.#registering.has(inode);
    this.noteOpen(inode);
    if (isNew) this.#unregistered.add(inode);
    return kept;
  }

  /** Counts a handle on an inode that the server opened as part of another request (`put`). */
  noteOpen(inode: number): void {
    const count = this.#opens.get(inode) ?? 0;
    if (count === 0 && this.#opens.size >= MAX_OPEN_INODES) {
      throw new DfsError('ENFILE', `this client already has ${MAX_OPEN_INODES} files open`);
    }
    this.#opens.set(inode, count + 1);
    // The server still has it open.
    this.#releasing.delete(inode);
  }

  /** Whether one more file may be open. */
  get hasRoomToOpen(): boolean {
    return this.#opens.size < MAX_OPEN_INODES;
  }

  /** Counts a handle on an inode that this client makes without having told the server yet. */
  noteOpenAhead(inode: number): void {
    this.noteOpen(inode);
    this.#unregistered.add(inode);
  }

  /** Gives one handle back; with the last one the server is told, if it knows of them, together with others. */
  async release(inode: number): Promise<void> {
    if (!this.#forgetOpen(inode)) return;
    await this.#registering.get(inode);
    if (this.#opens.has(inode) || this.#unregistered.delete(inode)) return;
    this.#releasing.add(inode);
    this.#releaseTimer ??= this.#options.clock.setTimer(
      RELEASE_AFTER_MS,
      () => void this.#releaseAll(),
      true,
    );
  }

  /** Never rejects: what a server that is away does not hear it hears when the session ends. */
  async #releaseAll(): Promise<void> {
    this.#releaseTimer = undefined;
    while (this.#releasing.size > 0 && !this.#isClosed) {
      const batch = [...this.#releasing].slice(0, MAX_RELEASED);
      try {
        await this.#untilAnswered(release.name, async (connection, timeoutMs) => {
          // Opened again meanwhile: the server must keep it.
          const inodes = batch.filter(inode => this.#releasing.has(inode));
          for (const inode of inodes) this.#releasing.delete(inode);
          if (inodes.length === 0) return;
          try {
            await connection.call(release, { inodes, session: this.#session }, { timeoutMs });
          } catch (error) {
            for (const inode of inodes) if (!this.#opens.has(inode)) this.#releasing.add(inode);
            throw error;
          }
        });
      } catch (error) {
        this.#options.log.warn({ reason: toDfsError(error).message }, 'closed files are not given back');
        for (const inode of batch) this.#releasing.delete(inode);
      }
    }
  }

  /**
   * Does `remove`, which takes a name away. What that leads to is open by the server's knowledge too before it does, so
   * that it lives on even if the answer is long in coming.
   */
  async removing<Result>(
    directory: number,
    name: Uint8Array,
    remove: () => Promise<Result>,
  ): Promise<Result> {
    this.#removals += 1;
    try {
      if (this.#unregistered.size > 0 || this.#registering.size > 0) {
        const known = this.names.knows(directory, name);
        const inodes = known === undefined ? [...this.#unregistered, ...this.#registering.keys()] : [known];
        await this.#register(inodes);
      }
      return await remove();
    } finally {
      this.#removals -= 1;
    }
  }

  /** Tells the server that inodes are open of which it was not told. Never rejects. */
  async #register(inodes: readonly number[]): Promise<void> {
    await Promise.all(
      inodes.map(async inode => {
        if (!this.#unregistered.delete(inode)) {
          await this.#registering.get(inode);
          return;
        }
        const registering = this.#registerOne(inode).finally(() => this.#registering.delete(inode));
        this.#registering.set(inode, registering);
        await registering;
      }),
    );
  }

  async #registerOne(inode: number): Promise<void> {
    try {
      await this.#untilAnswered(open.name, async (connection, timeoutMs) => {
        await connection.call(open, { inode, session: this.#session }, { timeoutMs });
      });
    } catch (error) {
      this.#options.log.warn({ inode, reason: toDfsError(error).message }, 'an open file may be gone');
    }
  }

  /** What was acknowledged is committed, or after the session's timeout given up. */
  async finishChanges(): Promise<void> {
    this.#isEnding = true;
    await this.changes.drained();
  }

  /** Ends the session if the server is there, and closes the connection. May be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.finishChanges();
    this.#isClosed = true;
    this.#renewTimer?.cancel();
    this.#releaseTimer?.cancel();
    this.lease.close();
    try {
      const { clock } = this.#options;
      const connection = await this.#rpc.connect(clock.monotonicMs());
      await connection.call(end, { session: this.#session }, { timeoutMs: GREETING_TIMEOUT_MS });
    } catch (error) {
      // The server ends the session by itself when it hears no more of it.
      this.#options.log.debug({ reason: toDfsError(error).message }, 'the session was not ended in order');
    }
    this.#rpc.close();
  }

  #confirm(changed: readonly Attributes[]): void {
    const wrong = this.delegated.confirm(changed);
    if (wrong.length === 0) return;
    const ticket = this.attributes.ticket();
    this.attributes.change(ticket, wrong, []);
    const inodes = wrong.map(({ inode, version }) => ({ inode, version }));
    void this.lease.dropFalse(inodes);
  }

  #loseAcknowledged(reason: DfsError): void {
    this.#lostNames = reason;
    this.attributes.changeUnknown();
    this.names.forgetAll();
    void this.lease.dropEverything();
  }

  #learnChanges(ticket: AttributeTicket, reply: unknown): void {
    if (!this.lease.isWanted) return;
    if (!changedCheck.Check(reply)) {
      this.attributes.changeUnknown();
      return;
    }
    this.attributes.change(ticket, reply.changed, reply.gone);
    // A new inode is not among those that changed.
    if (attributesCheck.Check(reply)) this.attributes.keep(ticket, reply.attributes);
  }

  #noteUnsynced(sequence: number, request: object): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [oldest, { answeredMs }] of this.#unsynced) {
      const isOld = answeredMs < nowMs - UNSYNCED_MS;
      if (!isOld && this.#unsynced.size < MAX_UNSYNCED_CHANGES) break;
      this.#unsynced.delete(oldest);
    }
    this.#answers += 1;
    const inodes = inodesChangedBy(request);
    this.#unsynced.set(sequence, { inodes, answeredMs: nowMs, answers: this.#answers });
  }

  #noteSynced(answers: number): void {
    for (const [oldest, change] of this.#unsynced) {
      if (change.answers > answers) break;
      this.#unsynced.delete(oldest);
    }
  }

  /** Takes notice of another start of the server, and of what it has lost. */
  #learnRun(run: string, lost: readonly number[]): void {
    const inodes = new Set<number>();
    for (const sequence of lost) {
      const change = this.#unsynced.get(sequence);
      this.#unsynced.delete(sequence);
      for (const inode of change?.inodes ?? []) {
        if (inode === 0) this.#lostNames = lostWithPower();
        else inodes.add(inode);
      }
    }
    const isSame = run === this.#run;
    const isFirst = this.#run === '';
    this.#run = run;
    if (lost.length > 0) {
      this.#options.log.error(
        { changes: lost.length },
        'the metadata server lost changes that it had answered',
      );
    }
    if (!isFirst && (!isSame || lost.length > 0)) this.onServerStarted([...inodes]);
  }

  #forgetOpen(inode: number): boolean {
    const count = this.#opens.get(inode) ?? 0;
    if (count > 1) {
      this.#opens.set(inode, count - 1);
      return false;
    }
    return this.#opens.delete(inode);
  }

  #acknowledged(): number {
    let lowest = this.#sequence + 1;
    // A Set iterates in insertion order and sequences only grow, so the first one is the lowest.
    for (const sequence of this.#outstanding) {
      lowest = sequence;
      break;
    }
    return lowest - 1;
  }

  async #untilAnswered<Reply>(
    what: string,
    attempt: (connection: RpcConnection, timeoutMs: number) => Promise<Reply>,
    isPatient: () => boolean = () => false,
  ): Promise<Reply> {
    const { clock, timeoutMs } = this.#options;
    let deadlineMs = clock.monotonicMs() + timeoutMs;
    if (!this.changes.isEmpty && !BESIDE_THE_LOG.has(what)) await this.#drainedFor(what);
    for (;;) {
      let connection: RpcConnection | undefined;
      try {
        connection = await this.#rpc.connect(deadlineMs);
        const leftMs = Math.max(1, deadlineMs - clock.monotonicMs());
        return await attempt(connection, Math.min(leftMs, ATTEMPT_TIMEOUT_MS));
      } catch (error) {
        const reason = toDfsError(error);
        // Silence may mean a dead connection that nobody told us of; a new one finds out.
        if (isSilence(reason)) connection?.close(reason);
        if (reason.code === 'ESTALE') await this.#checkSession(connection);
        if (!isConnectionError(reason)) throw reason;
        if (deadlineMs <= clock.monotonicMs() && isPatient()) deadlineMs += timeoutMs;
        const leftMs = deadlineMs - clock.monotonicMs();
        if (leftMs <= 0 || this.#isClosed) throw this.#absent(what, reason.message);
        await sleep(clock, Math.min(leftMs, RETRY_PAUSE_MS));
      }
    }
  }

  /** Everything that was acknowledged before is committed. EIO when the server stays away. */
  async #drainedFor(what: string): Promise<void> {
    const { clock, timeoutMs } = this.#options;
    const isDrained = await isDoneWithin(clock, timeoutMs, this.changes.drained());
    if (!isDrained) throw this.#absent(what, 'it has not answered what was acknowledged before');
  }

  #absent(what: string, reason: string): DfsError {
    const duration = formatDuration(this.#options.timeoutMs);
    return new DfsError('EIO', `'${what}' failed, no metadata server for ${duration}: ${reason}`);
  }

  /** ESTALE may mean that the server ended our session; then the connection is made anew, with a new session. */
  async #checkSession(connection: RpcConnection | undefined): Promise<void> {
    if (!connection || connection.isClosed) return;
    try {
      await this.#renewOn(connection, GREETING_TIMEOUT_MS);
    } catch (error) {
      if (hasCode(error, 'ESTALE')) connection.close(new DfsError('ECONNRESET', 'the session ended'));
    }
  }

  async #greet(connection: RpcConnection): Promise<void> {
    const { lease } = this;
    const sentMs = this.#options.clock.monotonicMs();
    const greeting = {
      secret: this.#secret,
      client: this.#options.clientName.slice(0, 255),
      opens: [...this.#opens.keys()],
      caches: lease.isWanted,
      unsynced: [...this.#unsynced.keys()],
    };
    const options = { timeoutMs: GREETING_TIMEOUT_MS };
    for (const inode of greeting.opens) this.#unregistered.delete(inode);
    const locks = this.heldLocks.all();
    const { reply } = await connection.call(session, { ...greeting, session: this.#session, locks }, options);
    if (!reply.resumed || !reply.locksKept) this.#loseLocks();
    if (reply.resumed && !reply.locksKept) {
      await connection.call(session, { ...greeting, session: this.#session, locks: [] }, options);
    }
    if (this.#session !== 0 && !reply.resumed) {
      this.#options.log.warn(
        { old: this.#session, new: reply.session },
        'the metadata server began a new session',
      );
      // A session that is resumed is told by the server to drop everything.
      lease.lose();
      this.changes.lose();
      this.onSessionLost();
    }
    this.#learnRun(reply.run, reply.lost);
    this.serverClock.learn(sentMs, reply.now);
    this.#session = reply.session;
    this.#secret = Buffer.from(reply.secret);
    this.#cluster = reply.cluster;
    lease.grant(sentMs, reply.leaseMs);
    connection.onClose(() => void this.#comeBack());
  }

  /**
   * A client that has nothing to ask comes back all the same: the server lets go the locks of one that does not, and
   * after a restart it waits for every client to say what it holds. Never rejects.
   */
  async #comeBack(): Promise<void> {
    if (this.#isClosed) return;
    const { clock, log } = this.#options;
    try {
      await this.#rpc.connect(clock.monotonicMs() + SESSION_TIMEOUT_MS);
    } catch (error) {
      // The next renewal tries again.
      log.debug({ reason: toDfsError(error).message }, 'the metadata server stays away');
    }
  }

  #loseLocks(): void {
    const inodes = this.heldLocks.clear();
    if (inodes.length === 0) return;
    this.#options.log.error(
      { inodes },
      'the metadata server let go the locks of this client, which was away',
    );
    this.onLocksLost(inodes);
  }

  #scheduleRenewal(delayMs = this.#renewalMs): void {
    if (this.#isClosed) return;
    this.#renewTimer?.cancel();
    this.#renewTimer = this.#options.clock.setTimer(delayMs, () => void this.#renew(), true);
  }

  get #renewalMs(): number {
    return this.lease.isWanted ? LEASE_RENEW_MS : SESSION_RENEW_MS;
  }

  async #renew(): Promise<void> {
    const { clock } = this.#options;
    const sentMs = clock.monotonicMs();
    let delayMs = RETURN_MS;
    try {
      const connection = await this.#rpc.connect(clock.monotonicMs());
      try {
        await this.#renewOn(connection, GREETING_TIMEOUT_MS);
      } catch (error) {
        if (hasCode(error, 'ESTALE') || isSilence(error)) connection.close(toDfsError(error));
        throw error;
      }
      // The lease counts from when it was asked for.
      delayMs = Math.max(0, sentMs + this.#renewalMs - clock.monotonicMs());
    } catch (error) {
      // The next request, or the next renewal, makes a new connection; until then there is nothing to tell anybody.
      this.#options.log.debug({ reason: toDfsError(error).message }, 'the session was not renewed');
      if (!this.lease.isWanted) delayMs = SESSION_RENEW_MS;
    }
    this.#scheduleRenewal(delayMs);
  }

  async #renewOn(connection: RpcConnection, timeoutMs: number): Promise<void> {
    const { lease } = this;
    const sentMs = this.#options.clock.monotonicMs();
    const request = { session: this.#session, caches: lease.isWanted };
    const { reply } = await connection.call(renew, request, { timeoutMs });
    this.serverClock.learn(sentMs, reply.now);
    lease.grant(sentMs, reply.leaseMs);
  }
}

/** The inodes whose content or attributes a request changes; 0 for changes of names. */
function inodesChangedBy(request: object): number[] {
  if ('changes' in request && Array.isArray(request.changes)) {
    // Nothing else than a batch has a field of this name.
    const { changes } = request as { readonly changes: readonly { readonly request: object }[] };
    return [...new Set(changes.flatMap(change => inodesChangedBy(change.request)))];
  }
  if ('target' in request && typeof request.target === 'number') return [request.target];
  return [
    'inode' in request && !('name' in request) && typeof request.inode === 'number' ? request.inode : 0,
  ];
}

function lostWithPower(): DfsError {
  return new DfsError(
    'EIO',
    'the metadata server lost its power before changes of names were on its disk; look what is there, and do them again',
  );
}

/** The cast says what the types of `execute` know: the request's shape is this one, with `once`. */
function withOnce(request: object, once: Once): unknown {
  return { ...request, once };
}
