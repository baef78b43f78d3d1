/**
 * Bugs that are put into a cluster where it meets the outside, to see that simulation finds them. Each stands here with
 * a seed that finds it; the test holds them to it.
 */
import { MetadataService, type MetadataServiceOptions } from '../../src/metadata/metadata-service.js';
import type { ClientCalls } from '../../src/metadata/leases/revocations.js';
import type { Operation } from '../../src/metadata/operation.js';
import { session, type renew } from '../../src/metadata/operations/session.js';
import type { ReplyOf } from '../../src/protocol/command.js';
import type { Peer } from '../../src/metadata/peer.js';
import { toRanges } from '../../src/protocol/inode-ranges.js';
import type { OwnedTransaction, Store } from '../../src/metadata/store/store.js';
import type { Clock, Timer } from '../../src/platform/clock.js';
import type { Static, TSchema } from '@sinclair/typebox';
import { ChangeLog } from '../../src/client/log/change-log.js';
import { Flight } from '../../src/vfs/flight.js';
import { FileWriter } from '../../src/vfs/file-writer.js';
import type { FaultKind } from './faults.js';
import { replaced } from './replaced.js';
import type { SeededRandom } from './world/seeded-random.js';
import type { SimulatedDisk } from './world/simulated-disk.js';

export interface PlantedBug {
  readonly name: string;
  /** A seed that finds it, or did when this was written: everything that changes what happens changes which ones do. */
  readonly seed: number;
  /** What the broken promise says. */
  readonly isFoundAs: RegExp;
  /** Faults without which nobody meets it: a run with the bug has them, whatever else its seed brings. */
  readonly needs?: readonly FaultKind[];
  breakDisk?(disk: SimulatedDisk): void;
  breakStore?(store: Store, clock: Clock): Store;
  makeService?(store: Store, options: MetadataServiceOptions): MetadataService;
  /** Breaks the clients of a run, which ends with `dispose`. */
  breakClients?(): Disposable;
  /** Whether a mount ignores the revocation that just came. */
  ignoresRevocation?(random: SeededRandom): () => boolean;
}

const COMMIT_LATE_MS = 40;

/** A store that passes everything on. */
class PassingStore implements Store {
  protected readonly inner: Store;

  constructor(inner: Store) {
    this.inner = inner;
  }

  get cluster(): Store['cluster'] {
    return this.inner.cluster;
  }

  get backup(): Store['backup'] {
    return this.inner.backup;
  }

  get room(): Store['room'] {
    return this.inner.room;
  }

  get isFlushNeeded(): boolean {
    return this.inner.isFlushNeeded;
  }

  ready(): Promise<void> | undefined {
    return this.inner.ready();
  }

  async begin(): Promise<OwnedTransaction> {
    return await this.inner.begin();
  }

  async flush(): Promise<void> {
    await this.inner.flush();
  }

  check(): ReturnType<Store['check']> {
    return this.inner.check();
  }

  explain(error: unknown): ReturnType<Store['explain']> {
    return this.inner.explain(error);
  }

  async close(): Promise<void> {
    await this.inner.close();
  }
}

/** A transaction with some of its parts replaced. */
function changed(inner: OwnedTransaction, parts: Partial<OwnedTransaction>): OwnedTransaction {
  return {
    ...inner,
    commit: async () => await inner.commit(),
    rollback: async () => await inner.rollback(),
    ...parts,
    get changes() {
      return inner.changes;
    },
  };
}

/** Says that a transaction is committed, and commits it, with those that follow, a moment later. */
class LateStore extends PassingStore {
  readonly #clock: Clock;
  #open: OwnedTransaction | undefined;
  #timer: Timer | undefined;

  constructor(inner: Store, clock: Clock) {
    super(inner);
    this.#clock = clock;
  }

  override async begin(): Promise<OwnedTransaction> {
    const open = (this.#open ??= await super.begin());
    this.#timer?.cancel();
    return changed(open, {
      commit: () => {
        this.#timer = this.#clock.setTimer(COMMIT_LATE_MS, () => void this.#commit());
      },
      rollback: async () => {
        this.#open = undefined;
        await open.rollback();
      },
    });
  }

  override get isFlushNeeded(): boolean {
    return this.#open !== undefined || super.isFlushNeeded;
  }

  override async flush(): Promise<void> {
    await this.#commit();
    await super.flush();
  }

  async #commit(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#timer?.cancel();
    await open?.commit();
  }
}

/** Collects chunks at once, without the grace for those that still read them, or may have them back. */
class HastyStore extends PassingStore {
  override async begin(): Promise<OwnedTransaction> {
    const inner = await super.begin();
    const { doomed } = inner;
    return changed(inner, {
      doomed: {
        insert: async chunk => await doomed.insert(chunk, 0),
        due: async (nowMs, limit) => await doomed.due(nowMs, limit),
        delete: async chunk => await doomed.delete(chunk),
        deleteMany: async chunks => await doomed.deleteMany(chunks),
      },
    });
  }
}

const VOID_EVERY = 3;

/** Refuses every third chunk, as it does when a grant has expired: the client has to store the bytes anew. */
class VoidGrantsStore extends PassingStore {
  override async begin(): Promise<OwnedTransaction> {
    const inner = await super.begin();
    const { grants, retired } = inner;
    const isVoid = (chunk: number): boolean => chunk % VOID_EVERY === 0;
    return changed(inner, {
      grants: {
        insert: async grant => await grants.insert(grant),
        get: async chunk => (isVoid(chunk) ? undefined : await grants.get(chunk)),
        oldest: async limit => await grants.oldest(limit),
        delete: async chunk => await grants.delete(chunk),
      },
      retired: {
        insertMany: async (chunks, untilMs) => await retired.insertMany(chunks, untilMs),
        has: async chunk => isVoid(chunk) || (await retired.has(chunk)),
        deleteUntil: async (nowMs, limit) => await retired.deleteUntil(nowMs, limit),
      },
    });
  }
}

/** Tells a client that comes back that nothing has happened, though its session was ended or its locks were given away. */
class UnfencedService extends MetadataService {
  override async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
    peer?: Peer,
  ): Promise<Static<Reply>> {
    const reply = await super.execute(operation, request, peer);
    const isReturning = operation.command.number === session.command.number && 'secret' in request;
    if (!isReturning || typeof reply !== 'object' || reply === null) return reply;
    const isNew = 'session' in request && request.session === 0;
    const told: object = { ...reply, ...(isNew ? {} : { resumed: true, locksKept: true, heldKept: true }) };
    return told;
  }
}

const LASTING_LEASE_MS = 20_000;

/** Grants leases that outlast its patience with a closed connection. */
class LastingLeaseService extends MetadataService {
  override async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
    peer?: Peer,
  ): Promise<Static<Reply>> {
    const reply = await super.execute(operation, request, peer);
    if (typeof reply !== 'object' || reply === null || !('leaseMs' in reply)) return reply;
    const told: object = { ...reply, leaseMs: LASTING_LEASE_MS };
    return told;
  }

  override async renew(
    ...parameters: Parameters<MetadataService['renew']>
  ): Promise<ReplyOf<typeof renew.command>> {
    const { leaseMs } = await super.renew(...parameters);
    return { leaseMs: leaseMs > 0 ? LASTING_LEASE_MS : 0 };
  }
}

/** Gives each session what it changes to itself, whoever else has it. */
class LavishService extends MetadataService {
  override async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
    peer?: Peer,
  ): Promise<Static<Reply>> {
    const reply = await super.execute(operation, request, peer);
    if (typeof reply !== 'object' || reply === null || !('changed' in reply)) return reply;
    // As `Changed` has it.
    const told = reply.changed as readonly { readonly inode: number }[];
    const lavish: object = { ...reply, given: toRanges(told.map(({ inode }) => inode)) };
    return lavish;
  }
}

/** Goes on with a recall before its holder has committed what it acknowledged. */
class HastyRecallService extends MetadataService {
  override bind(...[peer, id, isResumed, send]: Parameters<MetadataService['bind']>): void {
    const recall: ClientCalls['recall'] = async request => {
      void send.recall(request).catch(() => undefined);
      return { kept: [] };
    };
    super.bind(peer, id, isResumed, { ...send, recall });
  }
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'an fsync is skipped',
    seed: 82,
    isFoundAs: /fsynced|reading|counted/,
    breakDisk: disk => {
      disk.faults.lyingSyncChance = 0.3;
    },
  },
  {
    name: 'a change is acknowledged before it is committed',
    seed: 39,
    isFoundAs: /was told/,
    breakStore: (store, clock) => new LateStore(store, clock),
  },
  {
    name: 'a client that was given up is not fenced',
    seed: 8,
    needs: ['cut lock holder'],
    isFoundAs: /counted/,
    makeService: (store, options) => new UnfencedService(store, options),
  },
  {
    name: 'an invalidation is dropped',
    seed: 6,
    isFoundAs: /, (looking|refused), was told/,
    ignoresRevocation: random => () => random.isChance(0.2),
  },
  {
    name: 'a client that was cut off answers from its caches after the server has given it up',
    seed: 270,
    isFoundAs: /, (looking|refused|reading), was told/,
    makeService: (store, options) => new LastingLeaseService(store, options),
  },
  {
    name: 'an inode is given to two sessions',
    seed: 1,
    isFoundAs: /was told|counted|foretold|names and says/,
    makeService: (store, options) => new LavishService(store, options),
  },
  {
    name: 'a recall is over before what was acknowledged is committed',
    seed: 39,
    isFoundAs: /was told|counted|foretold|names and says/,
    makeService: (store, options) => new HastyRecallService(store, options),
  },
  {
    name: 'a write of a file that others use is answered from the buffer',
    seed: 7,
    isFoundAs: /was told/,
    breakClients: () => {
      const { write } = FileWriter.prototype;
      return replaced(FileWriter.prototype, 'write', async function (this: FileWriter, offset, data, manner) {
        await write.call(this, offset, data, { ...manner, isThrough: () => false });
      });
    },
  },
  {
    name: 'an older write lands on a newer one when it was refused meanwhile',
    seed: 9,
    isFoundAs: /was told/,
    breakStore: store => new VoidGrantsStore(store),
    breakClients: () => replaced(Flight.prototype, 'mayOverlap', () => false),
  },
  {
    name: 'names overtake the bytes of a file that was closed before them',
    seed: 1,
    isFoundAs: /reading, was told/,
    breakClients: () => {
      const { reserve } = ChangeLog.prototype;
      return replaced(ChangeLog.prototype, 'reserve', function (this: ChangeLog, hurry) {
        const place = reserve.call(this, hurry);
        this.leave(place);
        return place;
      });
    },
  },
  {
    name: 'chunks are collected without grace',
    seed: 28,
    isFoundAs: /was cut off|is lost/,
    breakStore: store => new HastyStore(store),
  },
];
