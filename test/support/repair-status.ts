/** What `dfs status` says of a test's cluster. */
import type { NodeStatus, RepairStatus } from '../../src/protocol/metadata-commands.js';
import { waitUntil, type Cluster } from './cluster.js';

const REPAIRED_MS = 90_000;

export type Status = RepairStatus & { readonly nodes: readonly NodeStatus[] };

export async function statusOf(cluster: Cluster): Promise<Status> {
  const { code, stdout, stderr } = await cluster.run('dfs', ['status', cluster.metadata.address, '--json']);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Status;
}

function isSound({ isComplete, lost, endangered, short, surplus }: Status): boolean {
  return isComplete && [lost, short, surplus, ...endangered].every(({ chunks }) => chunks === 0);
}

/** Waits until everything has exactly the replicas that it should have. */
export async function untilSound(
  cluster: Cluster,
  isEnough: (status: Status) => boolean = () => true,
): Promise<void> {
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
}
