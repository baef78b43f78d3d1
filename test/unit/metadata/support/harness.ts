/** A metadata service on a real database in a temporary directory, and clients that speak to it without a network. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Static, TSchema } from '@sinclair/typebox';
import Database from 'better-sqlite3';
import type { Test } from 'tap';
import { createDatabase } from '../../../../src/metadata/create-database.js';
import type { Durability } from '../../../../src/metadata/group-commit.js';
import { MetadataService, type MetadataServiceOptions } from '../../../../src/metadata/metadata-service.js';
import type { Operation } from '../../../../src/metadata/operation.js';
import { blocks } from '../../../../src/metadata/operations/blocks.js';
import { getattr } from '../../../../src/metadata/operations/getattr.js';
import { grant } from '../../../../src/metadata/operations/grant.js';
import { heartbeat } from '../../../../src/metadata/operations/heartbeat.js';
import { lookup } from '../../../../src/metadata/operations/lookup.js';
import { mkdir } from '../../../../src/metadata/operations/mkdir.js';
import { mknod } from '../../../../src/metadata/operations/mknod.js';
import { reg } from '../../../../src/metadata/operations/reg.js';
import { session } from '../../../../src/metadata/operations/session.js';
import type { Peer } from '../../../../src/metadata/peer.js';
import { SqliteStore } from '../../../../src/metadata/store/sqlite/sqlite-store.js';
import { createLogger } from '../../../../src/platform/log.js';
import { systemRandom } from '../../../../src/platform/random.js';
import type { ReplyOf } from '../../../../src/protocol/command.js';
import { ROOT_INODE, S_IFREG } from '../../../../src/protocol/file-mode.js';
import type { StoredChunk } from '../../../../src/protocol/content-commands.js';
import type { Attributes, Extent, Once } from '../../../../src/protocol/types.js';
import { ManualClock } from '../../../support/manual-clock.js';

export const LOG = createLogger('test', 'silent');

/** A client's end: numbers its requests as the real one does. */
export class TestClient {
  id = 0;
  secret: Uint8Array = new Uint8Array();
  sequence = 0;
  readonly #harness: Harness;

  constructor(harness: Harness) {
    this.#harness = harness;
  }

  /** Begins the session, or takes it up again. */
  async begin(opens: number[] = [], unsynced: number[] = []): Promise<ReplyOf<(typeof session)['command']>> {
    const reply = await this.#harness.service.execute(session, {
      session: this.id,
      secret: this.secret,
      client: 'test',
      opens,
      unsynced,
    });
    this.id = reply.session;
    this.secret = reply.secret;
    return reply;
  }

  /** A request that is not numbered. */
  async ask<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
    peer?: Peer,
  ): Promise<Static<Reply>> {
    return await this.#harness.service.execute(operation, request, peer);
  }

  /** A numbered request. */
  async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    once: Once = this.next(),
  ): Promise<Static<Reply>> {
    const numbered: object = { ...request, once };
    return await this.#harness.service.execute(operation, numbered);
  }

  /** The number of the next request. */
  next(): Once {
    this.sequence += 1;
    return { session: this.id, sequence: this.sequence, acknowledged: this.sequence - 1 };
  }

  async mkdir(name: string, parent = ROOT_INODE, mode = 0o755): Promise<Attributes> {
    const request = { parent, name: Buffer.from(name), mode, uid: 7, gid: 8 };
    return (await this.execute(mkdir, request)).attributes;
  }

  /** Creates an empty regular file. */
  async file(name: string, parent = ROOT_INODE, open = false): Promise<Attributes> {
    const request = {
      parent,
      name: Buffer.from(name),
      mode: S_IFREG | 0o644,
      uid: 7,
      gid: 8,
      rdev: 0,
      open,
      exclusive: true,
    };
    return (await this.execute(mknod, request)).attributes;
  }

  async stat(inode: number): Promise<Attributes> {
    return (await this.ask(getattr, { inode })).attributes;
  }

  async lookup(name: string, parent = ROOT_INODE): Promise<Attributes> {
    return (await this.ask(lookup, { parent, name: Buffer.from(name) })).attributes;
  }

  /** Chunks as they are after being stored on all nodes of their grants. */
  async chunks(lengths: readonly number[], goal = 2): Promise<StoredChunk[]> {
    const { grants } = await this.ask(grant, { count: lengths.length, goal, maxBytes: 1 << 22, exclude: [] });
    return grants.map((each, index) => ({
      chunk: each.chunk,
      length: lengths[index] ?? 1,
      checksum: each.chunk % 0xffff_ffff,
      nodes: [...each.nodes],
      grant: each,
    }));
  }

  /** Commits one new chunk of `length` bytes at `offset`. */
  async write(inode: number, offset: number, length: number): Promise<Attributes> {
    const chunks = await this.chunks([length]);
    const [stored] = chunks;
    if (!stored) throw new Error('no grant');
    return await this.commit(inode, [{ offset, length, chunk: stored.chunk, chunkOffset: 0 }], chunks);
  }

  async commit(
    inode: number,
    extents: Extent[],
    chunks: StoredChunk[],
    once: Once = this.next(),
  ): Promise<Attributes> {
    const request = { inode, extents, chunks, size: 0, mtime: { sec: 5, nsec: 6 }, durable: false };
    return (await this.execute(blocks, request, once)).attributes;
  }
}

export class Harness {
  readonly path: string;
  readonly clock: ManualClock;
  readonly durability: Durability;
  readonly #changes: Partial<MetadataServiceOptions>;
  #service: MetadataService | undefined;

  constructor(
    path: string,
    clock: ManualClock,
    durability: Durability,
    changes: Partial<MetadataServiceOptions> = {},
  ) {
    this.#changes = changes;
    this.path = path;
    this.clock = clock;
    this.durability = durability;
  }

  get service(): MetadataService {
    if (!this.#service) throw new Error('not started');
    return this.#service;
  }

  async start(): Promise<void> {
    const store = await SqliteStore.open(this.path, LOG);
    this.#service = new MetadataService(store, {
      durability: this.durability,
      clock: this.clock,
      random: systemRandom,
      log: LOG,
      ...this.#changes,
    });
    await this.#service.start();
  }

  async stop(): Promise<void> {
    await this.#service?.close();
    this.#service = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** A client with a session. */
  async client(): Promise<TestClient> {
    const client = new TestClient(this);
    await client.begin();
    return client;
  }

  /** Registers a data node; returns its number. */
  async node(name: string, freeBytes = 1e12, peer?: Peer): Promise<number> {
    const reply = await this.service.execute(
      reg,
      {
        id: name.padEnd(8, '-'),
        cluster: '',
        host: '127.0.0.1',
        port: 9000 + (name.charCodeAt(name.length - 1) % 100),
        totalBytes: 2e12,
        freeBytes,
        chunks: 0,
      },
      peer,
    );
    return reply.node;
  }

  /** A heartbeat of a node registered by node(); returns the chunks it shall drop. */
  async beat(name: string, node: number, dropped: number[] = [], freeBytes = 1e12): Promise<number[]> {
    const reply = await this.service.execute(heartbeat, {
      node,
      id: name.padEnd(8, '-'),
      totalBytes: 2e12,
      freeBytes,
      chunks: 0,
      dropped,
    });
    return reply.drop;
  }

  /** Rows of a table, as they are committed. */
  count(table: string): number {
    const database = new Database(this.path, { readonly: true });
    try {
      return Number(database.prepare(`SELECT count(*) FROM ${table}`).pluck().get());
    } finally {
      database.close();
    }
  }

  /** Waits until `check` holds, letting `stepMs` pass before each look; fails after a minute of real time. */
  async until(what: string, check: () => boolean | Promise<boolean>, stepMs = 1000): Promise<void> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    while (!(await check())) {
      if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
      this.clock.advance(stepMs);
      await turns();
      // Work of threads and disks needs real time, and a processor that is not busy with looking.
      const isLong = performance.now() > deadlineMs - DEADLINE_MS + BUSY_MS;
      if (stepMs === 0 || isLong) {
        await new Promise<void>(resolve => {
          setTimeout(resolve, LOOK_MS);
        });
      }
    }
  }

  /** Lets `ms` pass in steps of a second, and the work of that time be begun. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      this.clock.advance(Math.min(1000, left));
      await turns();
    }
  }
}

const DEADLINE_MS = 60_000;
const BUSY_MS = 300;
const LOOK_MS = 5;

/** Enough turns of the event loop for a round of background work that finds nothing to do. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise<void>(resolve => setImmediate(resolve));
}

/** A temporary directory that is removed when the test ends. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-md-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  return directory;
}

/**
 * A running service on a new database; stopped and removed when the test ends.
 * @param changes options of the service that are not the usual ones
 */
export async function startHarness(
  t: Test,
  durability: Durability = 'group',
  changes: Partial<MetadataServiceOptions> = {},
): Promise<Harness> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-md-'));
  const clock = new ManualClock();
  const path = join(directory, 'metadata.db');
  const harness = new Harness(path, clock, durability, changes);
  t.teardown(async () => {
    await harness.stop();
    await rm(directory, { recursive: true, force: true });
  });
  await createDatabase(path, { clock, random: systemRandom });
  await harness.start();
  return harness;
}

/** The errno with which a promise rejects, or OK. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'OK';
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}
