/** A simulated cluster for one scenario. */
import { constants } from 'node:fs';
import { Cluster, type LiveClient } from './cluster.js';
import { Scheduler } from './world/scheduler.js';
import { SeededRandom } from './world/seeded-random.js';

const LIMIT_MS = 120_000;

export interface Scene {
  readonly cluster: Cluster;
  readonly random: SeededRandom;
  /** Lets time pass until `work` is done. */
  until<Result>(work: () => Promise<Result>): Promise<Result>;
  /** A client whose process has just been started. */
  freshClient(): Promise<LiveClient>;
}

/**
 * A cluster that runs.
 * @param onLog told what its programs log
 */
export async function scene(seed: number, nodes: number, onLog?: (line: string) => void): Promise<Scene> {
  const scheduler = new Scheduler();
  const random = new SeededRandom(seed);
  const cluster = new Cluster({
    scheduler,
    random: random.fork(),
    nodes,
    clients: 3,
    goal: 2,
    bug: undefined,
    onLog,
  });
  const until: Scene['until'] = async work => {
    const outcome: { result?: Promise<Awaited<ReturnType<typeof work>>> } = {};
    void work().then(
      value => (outcome.result = Promise.resolve(value)),
      (error: unknown) => {
        outcome.result = Promise.reject(error instanceof Error ? error : new Error(String(error)));
        outcome.result.catch(() => undefined);
      },
    );
    await scheduler.run(() => outcome.result !== undefined, scheduler.nowMs + LIMIT_MS);
    if (!outcome.result) throw new Error('waited in vain');
    return await outcome.result;
  };
  await until(async () => {
    await cluster.start(cluster.metadata);
    await Promise.all(cluster.nodes.map(async node => await cluster.start(node)));
  });
  let clients = 0;
  const freshClient = async (): Promise<LiveClient> => {
    const machine = cluster.clients[clients];
    clients += 1;
    if (!machine) throw new Error('there are no more machines');
    return await until(async () => await cluster.startClient(machine));
  };
  return { cluster, random, until, freshClient };
}

/** The content of a file. */
export async function readAll({ vfs }: LiveClient, inode: number): Promise<Buffer> {
  const handle = await vfs.open(inode, constants.O_RDONLY);
  const { size } = await vfs.getattr(inode);
  const pieces = await vfs.read(handle, 0, size);
  await vfs.release(handle);
  return Buffer.concat(pieces);
}
