/** What was synced again and again, of which only data nodes know, outlives whoever loses its power or its process (docs/decisions/51). */
import { constants } from 'node:fs';
import t from 'tap';
import { sleep } from '../../src/platform/clock.js';
import { hasCode } from '../../src/protocol/errors.js';
import { ROOT_INODE } from '../../src/protocol/file-mode.js';
import { SILENT_CLIENT_MS } from '../../src/protocol/limits.js';
import type { Cluster, LiveClient, Machine } from './cluster.js';
import { readAll, scene } from './scene.js';
import type { SeededRandom } from './world/seeded-random.js';

const SEEDS = 6;
const OWNER = { mode: 0o644, uid: 0, gid: 0 };
/** With few, bytes are overwritten of which the metadata server does not know yet. */
const SLOTS = [40, 3];
const SLOT_BYTES = 512;
const REPLAYED = 'committed what a client had synced';

/** What happens while a program syncs, and then is gone. */
interface Mishap {
  readonly name: string;
  readonly nodes: number;
  readonly come: (cluster: Cluster, random: SeededRandom, writer: LiveClient) => Promise<void>;
}

const stop = (cluster: Cluster, machine: Machine | undefined): void => {
  if (machine) cluster.kill(machine, true);
};

const MISHAPS: readonly Mishap[] = [
  {
    name: 'the client is gone',
    nodes: 3,
    come: (cluster, _random, writer) => {
      cluster.kill(writer.machine, false);
      return Promise.resolve();
    },
  },
  {
    name: 'the client is gone, and the metadata server has lost its power',
    nodes: 3,
    come: async (cluster, random, writer) => {
      if (random.isChance(0.5)) cluster.kill(writer.machine, true);
      stop(cluster, cluster.metadata);
      cluster.kill(writer.machine, true);
      await cluster.start(cluster.metadata);
    },
  },
  {
    name: 'the metadata server has lost its power, and the client later',
    nodes: 3,
    come: async (cluster, random, writer) => {
      stop(cluster, cluster.metadata);
      await cluster.start(cluster.metadata);
      await sleep(writer.clock, random.between(0, 4000));
      cluster.kill(writer.machine, true);
    },
  },
  {
    name: 'everything has lost its power',
    nodes: 3,
    come: async (cluster, _random, writer) => {
      cluster.kill(writer.machine, true);
      for (const server of cluster.servers) stop(cluster, server);
      await Promise.all(cluster.servers.map(async server => await cluster.start(server)));
    },
  },
  {
    name: 'the client is gone, and a data node with its disk',
    nodes: 2,
    come: (cluster, random, writer) => {
      cluster.kill(writer.machine, true);
      stop(cluster, random.pick(cluster.nodes));
      return Promise.resolve();
    },
  },
  {
    name: 'the client is gone, and all data nodes have lost their power and come back one after the other',
    nodes: 2,
    come: async (cluster, _random, writer) => {
      cluster.kill(writer.machine, true);
      for (const node of cluster.nodes) stop(cluster, node);
      for (const node of cluster.nodes) await cluster.start(node);
    },
  },
];

/** A program that counts in the slots of a file, and syncs it each time. */
class Counting {
  readonly #client: LiveClient;
  readonly #random: SeededRandom;
  readonly #slots: number;
  /** slot → the last number that was written, and that was synced */
  readonly written = new Map<number, number>();
  readonly synced = new Map<number, number>();
  inode = 0;

  constructor(client: LiveClient, random: SeededRandom) {
    this.#client = client;
    this.#random = random;
    this.#slots = random.pick(SLOTS);
  }

  async begin(): Promise<void> {
    const { vfs } = this.#client;
    const made = await vfs.create(ROOT_INODE, Buffer.from('counts'), OWNER, true, constants.O_RDWR);
    this.inode = made.attributes.inode;
    await vfs.fsync(made.handle);
    void this.#count(made.handle).catch(() => undefined);
  }

  /** Ends with its process. */
  async #count(handle: number): Promise<void> {
    const { vfs, clock } = this.#client;
    for (let number = 1; ; number += 1) {
      const slots = new Set([
        this.#random.integer(0, this.#slots - 1),
        this.#random.integer(0, this.#slots - 1),
      ]);
      for (const slot of slots) {
        this.written.set(slot, number);
        await vfs.write(handle, slot * SLOT_BYTES, Buffer.from(String(number).padEnd(SLOT_BYTES)));
      }
      try {
        if (this.#random.isChance(0.01)) await vfs.setattr(this.inode, { mode: 0o600 + (number % 64) });
        await vfs.fsync(handle);
        for (const slot of slots) this.synced.set(slot, number);
      } catch {
        // It was told of what it lost.
        continue;
      }
      await sleep(clock, this.#random.pick([0, 1, 5]));
    }
  }
}

/** What the servers answer, when they have seen that the other client is gone. */
async function answered<Answer>({ clock }: LiveClient, ask: () => Promise<Answer>): Promise<Answer> {
  const untilMs = clock.monotonicMs() + SILENT_CLIENT_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!hasCode(error, 'EIO') || clock.monotonicMs() > untilMs) throw error;
    }
  }
}

for (const mishap of MISHAPS) {
  t.test(`${mishap.name}: what was synced is there`, async t => {
    let replays = 0;
    let syncs = 0;
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const onLog = (line: string): void => {
        if (line.includes(REPLAYED)) replays += 1;
      };
      const { cluster, random, until, freshClient } = await scene(seed, mishap.nodes, onLog);
      cluster.metadata.disk.faults.keptDatabaseChance = 0;
      const writer = await freshClient();
      const counting = new Counting(writer, random.fork());
      await until(async () => await counting.begin());
      await cluster.scheduler.run(() => false, cluster.scheduler.nowMs + random.between(200, 3000));
      await until(async () => await mishap.come(cluster, random, writer));
      const { synced, written, inode } = counting;
      const fresh = await freshClient();
      const found = await until(async () => await answered(fresh, async () => await readAll(fresh, inode)));
      for (const [slot, number] of synced) {
        const there = Number(found.toString('latin1', slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES).trim());
        const isGood = there >= number && there <= (written.get(slot) ?? 0);
        if (!isGood) t.fail(`seed ${seed}: slot ${slot} has ${there} after ${number} was synced`);
      }
      syncs += synced.size;
    }
    t.ok(syncs > SEEDS * 3, `${syncs} slots were synced`);
    t.ok(replays > 0, `intents were carried out ${replays} times`);
  });
}
