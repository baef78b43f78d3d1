/**
 * The inodes that this client has open, and which of them the metadata server knows of. An inode that is open by the
 * server's knowledge lives on when its last name goes.
 *
 *     closed ──open──────────────► known ──last close──► releasing ──told, with others──► closed
 *        │                           ▲ ▲                     │
 *        └──openKnown──► not known ──┘ └────opened again─────┘
 *
 * The client tells the server of one that is not known before it answers a revocation of its attributes, and before it takes
 * a name of it away.
 */
import type { Clock, Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { UnderWay } from '../../platform/under-way.js';
import { open, release } from '../../protocol/content-commands.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { MAX_OPEN_INODES, MAX_RELEASED } from '../../protocol/limits.js';
import type { SessionState } from '../../protocol/take-over.js';
import type { Attributes, Caller } from '../../protocol/types.js';
import type { MetadataCaches } from '../caches/metadata-caches.js';
import type { CacheKeeper, Revocation } from '../leases/cache-lease.js';
import type { Requests } from '../requests/requests.js';
import type { ServerSession } from '../session/server-session.js';

/** Files that are closed within this time are given back to the server together. */
const RELEASE_AFTER_MS = 5;

export interface OpenInodesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly server: ServerSession;
  readonly requests: Requests;
  readonly caches: MetadataCaches;
  /** How many may be open; default: as many as the server allows. */
  readonly maxOpenInodes?: number | undefined;
}

export class OpenInodes implements CacheKeeper {
  readonly #options: OpenInodesOptions;
  readonly #limit: number;
  /** inode → how many handles of this client have it open */
  readonly #handles = new Map<number, number>();
  /** Those of them of which the server was not told. */
  readonly #unregistered = new Set<number>();
  /** inode → the telling that is under way */
  readonly #registering = new Map<number, Promise<void>>();
  /** Inodes that are not open any more, of which the server was not told yet. */
  readonly #releasing = new Set<number>();
  #releaseTimer: Timer | undefined;
  /** Tellings of inodes that are not open any more. */
  readonly #telling = new UnderWay();
  /** Requests under way that take names away. */
  #removals = 0;

  constructor(options: OpenInodesOptions) {
    this.#options = options;
    this.#limit = options.maxOpenInodes ?? MAX_OPEN_INODES;
  }

  has(inode: number): boolean {
    return this.#handles.has(inode);
  }

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): SessionState['opens'] {
    return [...this.#handles].map(([inode, handles]) => ({ inode, handles }));
  }

  /** Takes over what an earlier process had open, of which the server is told when the session is resumed. */
  restore(opens: SessionState['opens']): void {
    for (const { inode, handles } of opens) {
      this.#handles.set(inode, handles);
      this.#unregistered.add(inode);
    }
  }

  /** Tells the server of everything that is closed. Never rejects. */
  async releasedAll(): Promise<void> {
    this.#releaseTimer?.cancel();
    await Promise.all(this.#registering.values());
    await this.#telling.settled();
    await this.#telling.during(this.#releaseAll());
  }

  /** Whether the server knows of everything that is closed. */
  get isReleased(): boolean {
    return this.#releasing.size === 0 && this.#registering.size === 0 && this.#telling.isEmpty;
  }

  /** Whether one more file may be open. */
  get hasRoom(): boolean {
    return this.#handles.size < this.#limit;
  }

  /** ENFILE without room. Asked before a request that makes a file and opens it. */
  requireRoom(): void {
    if (this.hasRoom) return;
    throw new DfsError('ENFILE', `this client already has ${this.#limit} files open; close some`);
  }

  /** All of them, of which the server is told now as the session is resumed. */
  declareAll(): number[] {
    const inodes = [...this.#handles.keys()];
    for (const inode of inodes) this.#unregistered.delete(inode);
    return inodes;
  }

  /**
   * Opens an inode for one more handle: unlinked by anybody, it lives until the last `release`. ENFILE, ENOENT, EACCES, …
   * @param access what `caller` must be allowed: 4 to read, 2 to write, 1 to execute, or several together
   */
  async open(inode: number, access: number, caller: Caller | undefined): Promise<Attributes> {
    const { server, requests } = this.#options;
    this.recordOpen(inode);
    try {
      const { attributes } = await requests.untilAnswered(open.name, async (connection, timeoutMs) => {
        const request = { inode, session: server.id, ...(caller ? { access, caller } : {}) };
        const { reply } = await connection.call(open, request, { timeoutMs });
        return reply;
      });
      this.#unregistered.delete(inode);
      return attributes;
    } catch (error) {
      this.#forgetHandle(inode);
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
    const kept = this.#removals === 0 ? this.#options.caches.attributes.get(inode) : undefined;
    if (!kept) return undefined;
    const isNew = !this.#handles.has(inode) && !this.#releasing.has(inode) && !this.#registering.has(inode);
    this.recordOpen(inode);
    if (isNew) this.#unregistered.add(inode);
    return kept;
  }

  /** Counts a handle on an inode that the server opened as part of another request; gives it back without room. */
  recordOpened(inode: number): void {
    try {
      this.recordOpen(inode);
    } catch (error) {
      void this.giveBack(inode);
      throw error;
    }
  }

  /** Counts a handle on an inode. ENFILE when there are too many. */
  recordOpen(inode: number): void {
    const count = this.#handles.get(inode) ?? 0;
    if (count === 0) this.requireRoom();
    this.#handles.set(inode, count + 1);
    // The server still has it open.
    this.#releasing.delete(inode);
  }

  /** Counts a handle on an inode that this client makes without having told the server yet. */
  recordOpenAhead(inode: number): void {
    this.recordOpen(inode);
    this.#unregistered.add(inode);
  }

  /** Gives one handle back; with the last one the server is told, if it knows of them, together with others. */
  async release(inode: number): Promise<void> {
    if (this.#forgetHandle(inode)) await this.giveBack(inode);
  }

  /** Tells the server, some time later, that this client has an inode open no longer; not if it has. Never rejects. */
  async giveBack(inode: number): Promise<void> {
    await this.#registering.get(inode);
    if (this.#handles.has(inode) || this.#unregistered.delete(inode)) return;
    this.#releasing.add(inode);
    this.#releaseTimer ??= this.#options.clock.setTimer(
      RELEASE_AFTER_MS,
      () => void this.#telling.during(this.#releaseAll()),
      true,
    );
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
        const known = this.#options.caches.names.knows(directory, name);
        await this.#register(known === undefined ? this.#unknownToServer : [known]);
      }
      return await remove();
    } finally {
      this.#removals -= 1;
    }
  }

  /** Tells the server that those of the inodes that are open here are. Never rejects. */
  async tell(inodes: readonly number[]): Promise<void> {
    if (this.#unregistered.size > 0 || this.#registering.size > 0) await this.#register(inodes);
  }

  async drop({ inodes }: Revocation): Promise<void> {
    await this.tell(inodes.map(({ inode }) => inode));
  }

  async dropAll(): Promise<void> {
    await this.#register(this.#unknownToServer);
  }

  /** Also those of which somebody is telling the server already: it does not know of them yet. */
  get #unknownToServer(): number[] {
    return [...this.#unregistered, ...this.#registering.keys()];
  }

  /** What is not given back yet ends with the session. May be called twice. */
  close(): void {
    this.#releaseTimer?.cancel();
  }

  /** Never rejects: what a server that is away does not hear it hears when the session ends. */
  async #releaseAll(): Promise<void> {
    const { server, requests, log } = this.#options;
    this.#releaseTimer = undefined;
    while (this.#releasing.size > 0 && !server.isClosed) {
      const batch = [...this.#releasing].slice(0, MAX_RELEASED);
      try {
        await requests.untilAnswered(release.name, async (connection, timeoutMs) => {
          // Opened again meanwhile: the server must keep it.
          const inodes = batch.filter(inode => this.#releasing.has(inode));
          for (const inode of inodes) this.#releasing.delete(inode);
          if (inodes.length === 0) return;
          try {
            await connection.call(release, { inodes, session: server.id }, { timeoutMs });
          } catch (error) {
            for (const inode of inodes) if (!this.#handles.has(inode)) this.#releasing.add(inode);
            throw error;
          }
        });
      } catch (error) {
        log.warn({ reason: toDfsError(error).message }, 'closed files are not given back');
        for (const inode of batch) this.#releasing.delete(inode);
      }
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
    const { server, requests, log } = this.#options;
    try {
      await requests.untilAnswered(open.name, async (connection, timeoutMs) => {
        await connection.call(open, { inode, session: server.id }, { timeoutMs });
      });
    } catch (error) {
      log.warn({ inode, reason: toDfsError(error).message }, 'an open file may be gone');
    }
  }

  #forgetHandle(inode: number): boolean {
    const count = this.#handles.get(inode) ?? 0;
    if (count > 1) {
      this.#handles.set(inode, count - 1);
      return false;
    }
    return this.#handles.delete(inode);
  }
}
