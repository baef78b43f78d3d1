import { systemClock, sleep } from '../../platform/clock.js';
import { DfsError } from '../../protocol/errors.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { parseCount } from '../quantity.js';
import { progressBar } from '../progress-bar.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

const MAX_NODE = 0xffff_ffff;
const LOOK_MS = 500;
/** As long as nothing leaves the node, and nothing is on its way, it cannot be emptied. */
const STUCK_MS = 30_000;

export const node = defineCommand({
  name: 'node',
  positionals: '<action> <node> [server]',
  summary: 'Drain a data node, or forget one that is gone',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('action', {
        choices: ['drain', 'undrain', 'remove'] as const,
        demandOption: true,
        describe: 'move its chunks elsewhere; stop that; forget a node that is drained or lost',
      })
      .positional('node', {
        type: 'string',
        demandOption: true,
        coerce: (text: string) => parseCount(text, 'node number', 1, MAX_NODE),
        describe: 'its number, as dfs nodes shows it',
      })
      .positional('server', SERVER_POSITIONAL)
      .option('wait', {
        type: 'boolean',
        default: false,
        describe: 'drain: wait until nothing is left on it',
      })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'remove: also if that loses the last replica of something, or the node lives',
      })
      .example([
        [`${call} drain 3 --wait`, 'before node 3 is taken away'],
        [`${call} remove 3`, 'when it is'],
      ]),
  async run(parameters) {
    const { action, node: number, server, wait, force } = parameters;
    if (wait && action !== 'drain') throw new UsageError('--wait goes with drain');
    if (force && action !== 'remove') throw new UsageError('--force goes with remove');
    await withFileSystem('node', chooseServer(server), { ...parameters, role: 'admin' }, async fileSystem => {
      const { cluster } = fileSystem;
      if (action === 'remove') {
        const chunks = await cluster.removeNode(number, force);
        await writeOut(`node ${number} is forgotten; ${chunks} chunks had a replica there\n`);
        return;
      }
      await cluster.drain(number, action === 'drain');
      if (wait) await untilDrained(fileSystem, number);
    });
  },
});

/** Resolves when the node holds nothing that is wanted. EBUSY when the others cannot take what it has. */
async function untilDrained({ cluster }: FileSystem, number: number): Promise<void> {
  const bar = progressBar({ format: '{bar} {percentage}%, {value} of {total} chunks moved' });
  bar.start(0, 0);
  try {
    let most = 0;
    let least = Number.POSITIVE_INFINITY;
    let movedMs = systemClock.monotonicMs();
    for (;;) {
      const status = await cluster.repairStatus();
      const left = status.draining.find(each => each.node === number)?.chunks;
      if (left === undefined && status.isComplete) {
        throw new DfsError('ENOENT', `node ${number} is not being drained any more`);
      }
      most = Math.max(most, left ?? 0);
      bar.setTotal(most);
      bar.update(most - (left ?? most));
      if (status.isComplete && left === 0) return;
      if (left !== undefined && (left < least || status.bytesPerSecond > 0)) {
        least = Math.min(least, left);
        movedMs = systemClock.monotonicMs();
      }
      const others = (await cluster.nodes()).filter(each => each.state === 'live' && !each.isDraining);
      if (others.length === 0) throw new DfsError('EBUSY', 'there is no other live node to take its chunks');
      // By the whole file system, which is as near as the server tells: with too few nodes they are short of replicas.
      const isForWantOfNodes = status.isComplete && status.short.chunks > 0 && status.waitingBytes === 0;
      if (isForWantOfNodes || systemClock.monotonicMs() - movedMs > STUCK_MS) {
        throw new DfsError(
          'EBUSY',
          `${left ?? 0} chunks cannot leave node ${number}: ${
            isForWantOfNodes
              ? 'the other nodes are fewer than the goal of some; add a node, or lower the goal'
              : 'the other nodes have no room for them; add a node, or delete files'
          }. It goes on being drained`,
        );
      }
      await sleep(systemClock, LOOK_MS);
    }
  } finally {
    bar.stop();
  }
}
