/** The output of `dfs status` for a test's cluster, without a process for each question. */
import { completeStatus } from '../../src/client/cluster-control.js';
import { tcpNetwork } from '../../src/platform/network.js';
import { createLogger } from '../../src/platform/log.js';
import { systemClock } from '../../src/platform/clock.js';
import { systemRandom } from '../../src/platform/random.js';
import {
  nodes,
  repairStatus,
  type NodeStatus,
  type RepairStatus,
} from '../../src/protocol/cluster-commands.js';
import { RpcClient } from '../../src/rpc/client.js';
import { waitUntil, type Cluster } from './cluster.js';

const REPAIRED_MS = 90_000;
const CALL_MS = 10_000;

export type Status = RepairStatus & { readonly nodes: readonly NodeStatus[] };

/** Rejects when the metadata server does not answer. */
export async function statusOf(cluster: Cluster): Promise<Status> {
  const { endpoint } = cluster;
  if (!cluster.isReachable) return await askCommand(cluster);
  const rpc = new RpcClient({
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('test', 'silent'),
    keys: cluster.keys,
    role: 'client',
    server: 'metadata',
    endpoint,
  });
  try {
    const connection = await rpc.connect(systemClock.monotonicMs() + CALL_MS);
    const options = { timeoutMs: CALL_MS };
    const repair = await completeStatus(
      systemClock,
      async () => (await connection.call(repairStatus, {}, options)).reply,
    );
    const known = await connection.call(nodes, {}, options);
    return { ...repair, nodes: known.reply.nodes };
  } finally {
    rpc.close();
  }
}

async function askCommand(cluster: Cluster): Promise<Status> {
  const { code, stdout, stderr } = await cluster.run('dfs', ['status', cluster.metadata.address, '--json']);
  // 3 and 4 tell how the cluster is.
  if (code === 1 || code === 2) throw new Error(stderr);
  return JSON.parse(stdout) as Status;
}

function isSound({ isComplete, lost, endangered, short, surplus }: Status): boolean {
  return isComplete && [lost, short, surplus, ...endangered].every(({ chunks }) => chunks === 0);
}

/** Waits until everything has exactly the replicas that it should have; returns how things were at that moment. */
export async function untilSound(
  cluster: Cluster,
  isEnough: (status: Status) => boolean = () => true,
): Promise<Status> {
  let last: Status | undefined;
  await waitUntil(
    async () => {
      last = await statusOf(cluster);
      return isSound(last) && isEnough(last);
    },
    { deadlineMs: REPAIRED_MS, what: 'full redundancy' },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(last)}`);
  });
  if (!last) throw new Error('nothing was waited for');
  return last;
}

/** Waits until so many data nodes are live. */
export async function untilLive(cluster: Cluster, count = cluster.nodes.length): Promise<void> {
  await waitUntil(
    async () => (await statusOf(cluster)).nodes.filter(({ state }) => state === 'live').length === count,
    { what: `${count} data nodes are live` },
  );
}
