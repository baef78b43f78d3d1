import t, { type Test } from 'tap';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { GroupCommit, type Durability, type NamedReplicas } from '../../../src/metadata/group-commit.js';
import { SqliteConnection } from '../../../src/metadata/store/sqlite/connection.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { openDatabaseFile } from '../../../src/metadata/store/sqlite/database-file.js';
import { fromSqliteError } from '../../../src/metadata/store/sqlite/sqlite-errors.js';
import { SqliteStore, SqliteTransaction } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import type { Awaitable, OwnedTransaction, Store } from '../../../src/metadata/store/store.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { LOG, refusal, temporaryDirectory } from './support/harness.js';
import { ManualClock } from '../../support/manual-clock.js';

/** The real store, whose commits and flushes can be watched and made to fail. */
class WatchedStore implements Store {
  readonly inner: SqliteStore;
  /** What happened, in order. */
  readonly events: string[] = [];
  /** Commits that fail from now on, each with this error. */
  commitFailures: Error[] = [];
  flushFailure: DfsError | undefined;

  constructor(inner: SqliteStore) {
    this.inner = inner;
  }

  get cluster() {
    return this.inner.cluster;
  }

  check() {
    return this.inner.check();
  }

  get backup() {
    return this.inner.backup;
  }

  get room() {
    return this.inner.room;
  }

  get isFlushNeeded(): boolean {
    return this.inner.isFlushNeeded;
  }

  ready(): Promise<void> | undefined {
    return this.inner.ready();
  }

  begin(): Awaitable<OwnedTransaction> {
    const tx = this.inner.begin();
    return new Proxy(tx, {
      get: (target, property) => {
        if (property === 'commit') {
          return () => {
            const failure = this.commitFailures.shift();
            if (failure) throw failure;
            target.commit();
            this.events.push('commit');
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  async flush(): Promise<void> {
    if (this.flushFailure) throw this.flushFailure;
    await this.inner.flush();
    this.events.push('flush');
  }

  explain(error: unknown): DfsError {
    return this.inner.explain(error);
  }

  async close(): Promise<void> {
    await this.inner.close();
  }
}

async function start(
  t: Test,
  durability: Durability = 'group',
  clock: Clock = systemClock,
  replicas?: NamedReplicas,
) {
  const path = `${await temporaryDirectory(t)}/metadata.db`;
  await createDatabase(path, { clock: systemClock, random: systemRandom });
  const store = new WatchedStore(await SqliteStore.open(path, LOG));
  const commits = new GroupCommit(store, { clock, log: LOG, durability, replicas });
  t.teardown(async () => {
    await commits.close();
    await store.close();
  });
  return { store, commits };
}

t.test('tasks that arrive together share a transaction', async t => {
  // On a clock that stands still, so that no batch is cut short because the machine is slow.
  const { store, commits } = await start(t, 'group', new ManualClock());
  const results = await Promise.all(
    Array.from(
      { length: 50 },
      async (_, index) =>
        await commits.submit(async tx => {
          await tx.counters.set('node', index);
          return index;
        }),
    ),
  );
  t.same(
    results,
    Array.from({ length: 50 }, (_, index) => index),
  );
  t.equal(store.events.filter(event => event === 'commit').length, 1);
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 49, 'in their order');
});

t.test('a task that refuses leaves the others of its batch alone', async t => {
  const { store, commits } = await start(t);
  const undone: string[] = [];
  const [one, two, three] = await Promise.allSettled([
    commits.submit(async tx => await tx.counters.set('node', 1)),
    commits.submit(async (_tx, control) => {
      control.onRollback(() => undone.push('two'));
      throw new DfsError('EEXIST', 'refused');
    }),
    commits.submit(async tx => await tx.counters.get('node')),
  ]);
  t.equal(one.status, 'fulfilled');
  t.match(two, { status: 'rejected', reason: { code: 'EEXIST' } });
  t.same(three, { status: 'fulfilled', value: 1 });
  t.same(undone, ['two']);
  t.equal(store.events.filter(event => event === 'commit').length, 1);
});

t.test('a task that fails after a change takes nothing with it, and nobody else', async t => {
  const { commits } = await start(t);
  let attempts = 0;
  const [one, two, three] = await Promise.allSettled([
    commits.submit(async tx => {
      attempts += 1;
      await tx.counters.set('session', (await tx.counters.get('session')) + 1);
    }),
    commits.submit(async tx => {
      await tx.counters.set('node', 99);
      throw new DfsError('EIO', 'an invariant does not hold');
    }),
    commits.submit(async () => {
      throw new TypeError('a bug');
    }),
  ]);
  t.equal(one.status, 'fulfilled');
  t.match(two, { status: 'rejected', reason: { code: 'EIO' } });
  t.match(three, { status: 'rejected', reason: { code: 'EIO' } });
  t.equal(attempts, 2, 'it was run again, alone');
  t.equal(await commits.submit(async tx => await tx.counters.get('session')), 1);
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 0);
});

t.test('a commit that fails is told to those it cannot be repeated for', async t => {
  const { store, commits } = await start(t);
  const disk = (): Error => Object.assign(new Error('disk full'), { code: 'ENOSPC' });
  store.commitFailures = [disk()];
  await Promise.all(
    [1, 2].map(async value => await commits.submit(async tx => await tx.counters.set('node', value))),
  );
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 2, 'repeated, one by one');
  store.commitFailures = [disk()];
  const undone: string[] = [];
  const failing = commits.submit(async (tx, control) => {
    control.onRollback(() => undone.push('first'));
    control.onRollback(() => undone.push('second'));
    await tx.counters.set('node', 3);
  });
  t.equal(await refusal(failing), 'ENOSPC');
  t.same(undone, ['second', 'first'], 'memory was put back, the last change first');
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 2);
});

t.test('a full disk of the real database is ENOSPC, and space makes it work again', async t => {
  const path = `${await temporaryDirectory(t)}/metadata.db`;
  await createDatabase(path, { clock: systemClock, random: systemRandom });
  const database = openDatabaseFile(path, nodeDisk);
  const transaction = new SqliteTransaction(new SqliteConnection(database), () => undefined);
  const store: Store = {
    cluster: { cluster: '', grantKey: Buffer.alloc(0) },
    backup: {
      commits: 0,
      beginCopy: () => Promise.reject(new Error('not here')),
      copyPages: () => Promise.reject(new Error('not here')),
      copyChanges: () => Promise.reject(new Error('not here')),
    },
    room: {
      isShort: false,
      freeBytes: 0,
      ahead: 0,
      onShort: () => undefined,
      look: async () => undefined,
      letGo: async () => false,
    },
    isFlushNeeded: false,
    ready: () => undefined,
    begin: () => {
      transaction.begin();
      return transaction;
    },
    flush: async () => undefined,
    check: () => {
      throw new Error('not asked for here');
    },
    explain: error => fromSqliteError(error, path),
    close: async () => undefined,
  };
  const commits = new GroupCommit(store, { clock: systemClock, log: LOG, durability: 'group' });
  t.teardown(async () => {
    await commits.close();
    database.close();
  });
  const fill = async (tx: {
    xattrs: { put: (inode: number, name: Uint8Array, value: Uint8Array) => unknown };
  }) => {
    for (let index = 0; index < 100; index += 1) {
      await tx.xattrs.put(1, Buffer.from(`user.${index}`), Buffer.alloc(60_000));
    }
  };
  // SQLite's own limit gives the same SQLITE_FULL as the file system does.
  database.pragma('max_page_count = 100');
  const [full, small] = await Promise.allSettled([
    commits.submit(fill),
    commits.submit(async tx => await tx.counters.set('node', 5)),
  ]);
  t.match(full, { status: 'rejected', reason: { code: 'ENOSPC' } });
  t.equal(small.status, 'fulfilled');
  database.pragma('max_page_count = 1000000');
  await commits.submit(fill);
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 5);
});

t.test('group: a durable task waits for the fsync, others do not', async t => {
  const { store, commits } = await start(t);
  const order: string[] = [];
  await Promise.all([
    commits
      .submit(async (tx, control) => {
        await tx.counters.set('node', 1);
        control.requireDurable();
      })
      .then(() => order.push(`durable after ${store.events.join()}`)),
    commits
      .submit(async tx => await tx.counters.set('session', 1))
      .then(() => order.push(`other after ${store.events.join()}`)),
  ]);
  t.same(order, ['other after commit', 'durable after commit,flush']);
  t.notOk(store.isFlushNeeded);
});

t.test('group: everything is on stable storage soon, without being asked for', async t => {
  const { store, commits } = await start(t);
  const startMs = performance.now();
  await commits.submit(async tx => await tx.counters.set('node', 1));
  t.ok(store.isFlushNeeded);
  while (store.isFlushNeeded && performance.now() - startMs < 5000) {
    await new Promise<void>(resolve => setImmediate(resolve));
  }
  t.notOk(store.isFlushNeeded);
});

t.test('strict: nobody is told anything that could be lost', async t => {
  const { store, commits } = await start(t, 'strict');
  const seen: string[] = [];
  await Promise.all([
    commits.submit(async tx => await tx.counters.set('node', 1)).then(() => seen.push(store.events.join())),
    commits.submit(async tx => await tx.counters.get('node')).then(() => seen.push(store.events.join())),
  ]);
  t.same(seen, ['commit,flush', 'commit,flush'], 'readers do not see it before either');
});

t.test('an fsync that fails is EIO for those who need it', async t => {
  const { store, commits } = await start(t);
  store.flushFailure = new DfsError('EIO', 'bad disk');
  const durable = commits.submit(async (tx, control) => {
    await tx.counters.set('node', 1);
    control.requireDurable();
  });
  t.equal(await refusal(durable), 'EIO');
});

t.test('a long task commits piece by piece, with others in between', async t => {
  const { commits } = await start(t);
  const progress = { steps: 0 };
  const long = commits.submit(async (begun, control) => {
    let tx = begun;
    for (let step = 1; step <= 5; step += 1) {
      await tx.counters.set('node', step);
      progress.steps = step;
      tx = await control.pause();
    }
    return 'done';
  });
  const seen: number[] = [];
  while (progress.steps < 5) seen.push(await commits.submit(async tx => await tx.counters.get('node')));
  t.equal(await long, 'done');
  t.ok(new Set(seen).size > 2, `others saw ${seen.join()}`);
});

t.test('a long task whose batch fails is told so; what it did before stays', async t => {
  const { store, commits } = await start(t);
  const long = commits.submit(async (begun, control) => {
    await begun.counters.set('node', 1);
    const tx = await control.pause();
    store.commitFailures = [Object.assign(new Error('disk full'), { code: 'ENOSPC' })];
    await tx.counters.set('node', 2);
  });
  t.equal(await refusal(long), 'ENOSPC');
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 1);
});

t.test('closing finishes what was taken, ends what is paused, and takes no more', async t => {
  const { commits } = await start(t);
  const taken = commits.submit(async tx => await tx.counters.set('node', 7));
  const endless = commits.submit(async (_tx, control) => {
    for (;;) await control.pause();
  });
  const ended = refusal(endless);
  await Promise.all([commits.close(), commits.close()]);
  await taken;
  t.equal(await ended, 'ESHUTDOWN');
  t.equal(await refusal(commits.submit(async () => 1)), 'ESHUTDOWN');
});

t.test('clients take turns, and the tasks of one whose connection is closed are dropped', async t => {
  const { commits } = await start(t);
  const [busy, modest, gone] = [{ isClosed: false }, { isClosed: false }, { isClosed: false }];
  const order: string[] = [];
  const submit = async (name: string, peer: { readonly isClosed: boolean }): Promise<void> => {
    const spent = async (): Promise<void> => {
      order.push(name);
      const endMs = performance.now() + 3;
      while (performance.now() < endMs);
    };
    await commits.submit(spent, peer);
  };
  const taken = Array.from({ length: 10 }, async (_, index) => await submit(`busy${index}`, busy));
  const dropped = Array.from({ length: 3 }, async () => await refusal(submit('gone', gone)));
  const one = submit('modest', modest);
  gone.isClosed = true;
  await Promise.all([...taken, one]);
  t.ok(order.indexOf('modest') <= 2, order.join());
  t.same(
    order.filter(name => name !== 'modest'),
    Array.from({ length: 10 }, (_, index) => `busy${index}`),
    'in the order of each, and nothing of the one that is gone',
  );
  t.same(await Promise.all(dropped), ['ECONNRESET', 'ECONNRESET', 'ECONNRESET']);
});

t.test('a long task of a client that is gone by now is finished', async t => {
  const { commits } = await start(t);
  const peer = { isClosed: false };
  const long = commits.submit(async (begun, control) => {
    await begun.counters.set('node', 1);
    const tx = await control.pause();
    await tx.counters.set('node', 2);
  }, peer);
  await commits.submit(async () => (peer.isClosed = true));
  await long;
  t.equal(await commits.submit(async tx => await tx.counters.get('node')), 2);
});

t.test('what commits name is on stable storage before they are, whatever is committed meanwhile', async t => {
  const unsynced = new Set<string>();
  const synced = new Set<string>();
  let syncs = 0;
  let onSync = async (): Promise<void> => undefined;
  const replicas = {
    get isNeeded(): boolean {
      return unsynced.size > 0;
    },
    sync: async (): Promise<void> => {
      syncs += 1;
      const named = [...unsynced];
      await onSync();
      for (const chunk of named) {
        unsynced.delete(chunk);
        synced.add(chunk);
      }
    },
  };
  const { store, commits } = await start(t, 'group', systemClock, replicas);
  const commit = async (chunk: string, isDurable: boolean): Promise<void> => {
    await commits.submit(async (tx, control) => {
      await tx.counters.set('node', syncs);
      unsynced.add(chunk);
      if (isDurable) control.requireDurable();
    });
    store.events.push(`answered ${chunk}`);
  };
  const flush = store.inner.flush.bind(store.inner);
  /** What had been committed, and not synced, when the log was; and how often data nodes were synced until the log first was. */
  const early: string[] = [];
  let firstLog: { readonly syncs: number; readonly synced: ReadonlySet<string> } | undefined;
  store.inner.flush = async () => {
    early.push(...unsynced);
    firstLog ??= { syncs, synced: new Set(synced) };
    await flush();
  };
  const during: Promise<void>[] = [];
  onSync = async () => {
    // Others go on committing while the first sync is under way, and wait while the second one is.
    if (during.length < 4 && !firstLog) during.push(commit(`during ${during.length}`, false));
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  };
  await commit('first', true);
  t.same(early, []);
  // One while others go on, and one while they wait; a slow machine begins once more.
  // What comes after the first log's fsync has begun, on a slow disk the next flush too, is not counted.
  const waited = (firstLog?.syncs ?? 0) - 1;
  t.ok(waited >= 1, `${waited} syncs after the first`);
  t.ok(firstLog?.synced.has('first'));
  for (let index = 0; index < waited; index += 1) t.ok(firstLog?.synced.has(`during ${index}`));
  t.notOk(firstLog?.synced.has(`during ${waited}`), 'it waited until the fsync of the log had begun');
  await Promise.all(during);
});
