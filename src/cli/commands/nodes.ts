import prettyBytes from 'pretty-bytes';
import { formatDuration } from '../../platform/duration.js';
import type { NodeStatus } from '../../protocol/cluster-commands.js';
import { formatEndpoint } from '../address.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { writeOut } from '../standard-output.js';
import { tableFor } from '../table.js';

export const nodes = defineCommand({
  name: 'nodes',
  positionals: '[server]',
  summary: 'Show the data nodes and how they are',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('server', SERVER_POSITIONAL)
      .option('json', { type: 'boolean', default: false, describe: 'as a JSON array, sizes in bytes' })
      .example([
        [call, ''],
        [`${call} 10.0.0.1:8000 --json`, 'for programs'],
      ]),
  async run(parameters) {
    await withFileSystem('nodes', chooseServer(parameters.server), parameters, async fileSystem => {
      const all = await fileSystem.cluster.nodes();
      await writeOut(parameters.json ? `${JSON.stringify(all.map(forPrograms), null, 2)}\n` : table(all));
    });
  },
});

function forPrograms(status: NodeStatus): object {
  const { domain, skewMs = 0, unreachable = '', ...rest } = status;
  return { ...rest, domain: domain || status.host, skewMs, unreachable };
}

/** What to say of a node's clock, if anything. */
export function skewOf({ skewMs = 0 }: NodeStatus): string[] {
  if (skewMs === 0) return [];
  return [`clock ${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead' : 'behind'}`];
}

function table(all: readonly NodeStatus[]): string {
  if (all.length === 0) return 'no data node has registered yet\n';
  const bytes = (count: number): string => prettyBytes(count, { binary: true });
  const rows = tableFor({
    head: ['node', 'state', 'address', 'domain', 'total', 'free', 'chunks'],
    colAligns: ['right', 'left', 'left', 'left', 'right', 'right', 'right'],
  });
  for (const status of all) {
    const { node, state, isDraining, domain, host, totalBytes, freeBytes, chunks } = status;
    const shown = [
      status.unreachable ? 'unreachable' : state,
      ...(isDraining ? ['draining'] : []),
      ...skewOf(status),
    ].join(', ');
    const sizes = [bytes(totalBytes), bytes(freeBytes), chunks];
    rows.push([node, shown, formatEndpoint(status), domain || host, ...sizes]);
  }
  const reasons = all.flatMap(({ node, unreachable }) =>
    unreachable ? [`node ${node}: the metadata server does not reach it: ${unreachable}\n`] : [],
  );
  return `${rows.toString()}\n${reasons.join('')}`;
}
