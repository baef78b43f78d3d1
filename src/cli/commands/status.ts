import { completeStatus, type ClusterControl } from '../../client/cluster-control.js';
import { systemClock } from '../../platform/clock.js';
import prettyBytes from 'pretty-bytes';
import type {
  ChunkTotals,
  HealthCondition,
  NodeStatus,
  RepairStatus,
} from '../../protocol/cluster-commands.js';
import { skewOf } from './nodes.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { FailureTold } from '../failure-told.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';
import { changeLines, repeatUntilEnded, REPAINT } from '../watched-health.js';

const MINUTE_S = 60;
const WARNING = 3;
const ERROR = 4;

export const status = defineCommand({
  name: 'status',
  positionals: '[server]',
  summary: 'Show how the cluster is: what needs attention, missing replicas, and what is being repaired',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('server', SERVER_POSITIONAL)
      .option('json', { type: 'boolean', default: false, describe: 'as a JSON object, sizes in bytes' })
      .option('watch', {
        type: 'boolean',
        default: false,
        describe: 'until Ctrl-C: shown anew on a terminal, else a line for each code that comes or goes',
      })
      .example([
        [call, ''],
        [`${call} --watch`, 'as it changes'],
      ])
      .epilog(
        'The exit code is 0 when nothing needs attention, 3 with a warning, 4 with an error; 1 when it is not known. docs/health.md explains each code.',
      ),
  async run(parameters) {
    const { server, json, watch } = parameters;
    if (json && watch) throw new UsageError('--json and --watch do not go together');
    await withFileSystem('status', chooseServer(server), parameters, async ({ cluster }) => {
      if (watch) {
        await watchHealth(cluster);
        return;
      }
      const repair = await repairOf(cluster);
      const nodes = await cluster.nodes();
      await writeOut(json ? `${JSON.stringify({ ...repair, nodes }, null, 2)}\n` : shown(repair, nodes));
      const exitCode = exitCodeOf(repair);
      if (exitCode !== 0) throw new FailureTold(exitCode);
    });
  },
});

async function repairOf(cluster: ClusterControl): Promise<RepairStatus> {
  return await completeStatus(systemClock, async () => await cluster.repairStatus());
}

function shown(repair: RepairStatus, nodes: readonly NodeStatus[]): string {
  return `${[...healthLines(repair), ...lines(repair, nodes)].join('\n')}\n`;
}

async function watchHealth(cluster: ClusterControl): Promise<void> {
  let before: readonly HealthCondition[] | undefined;
  await repeatUntilEnded(systemClock, async () => {
    const repair = await repairOf(cluster);
    if (process.stdout.isTTY) {
      await writeOut(`${REPAINT}${shown(repair, await cluster.nodes())}`);
      return;
    }
    const now = repair.health ?? [];
    const changed = changeLines(before, now, new Date().toISOString());
    before = now;
    if (changed.length > 0) await writeOut(`${changed.join('\n')}\n`);
  });
}

function exitCodeOf({ health = [] }: RepairStatus): number {
  if (health.length === 0) return 0;
  return health.some(({ severity }) => severity === 'error') ? ERROR : WARNING;
}

function healthLines({ health }: RepairStatus): string[] {
  // A server of the version before does not say.
  if (health === undefined) return [];
  if (health.length === 0) return ['healthy     nothing needs attention'];
  return health.map(({ code, severity, text }) => `${severity.padEnd(11)} ${code}: ${text}`);
}

function lines(repair: RepairStatus, nodes: readonly NodeStatus[]): string[] {
  const live = nodes.filter(({ state }) => state === 'live').length;
  const text = [`nodes       ${live} of ${nodes.length} live`, `chunks      ${totals(repair.total)}`];
  if (repair.databaseRoom?.isShort === true) {
    const free = prettyBytes(repair.databaseRoom.freeBytes, { binary: true });
    text.push(
      `METADATA    its disk is nearly full (${free} free): nothing new is made (ENOSPC); delete files, or make room there`,
    );
  }
  if (!repair.isComplete)
    text.push('            (every chunk is being looked at; the figures are not complete)');
  if (repair.lost.chunks > 0)
    text.push(`LOST        ${totals(repair.lost)} have no replica on a node that is there`);
  for (const [index, endangered] of repair.endangered.entries()) {
    if (endangered.chunks === 0) continue;
    text.push(
      `endangered  ${totals(endangered)} have ${index + 1} replica${index === 0 ? '' : 's'}, and should have more`,
    );
  }
  if (repair.short.chunks > 0)
    text.push(`short       ${totals(repair.short)} have a higher goal than there are nodes for`);
  if (repair.surplus.chunks > 0)
    text.push(`surplus     ${totals(repair.surplus)} have more replicas than they need`);
  for (const { node, chunks } of repair.draining)
    text.push(`draining    node ${node}: ${chunks} chunks left`);
  const rate = `${prettyBytes(repair.bytesPerSecond, { binary: true })}/s`;
  const pace = `${rate}${repair.secondsLeft < 0 ? '' : `, about ${duration(repair.secondsLeft)} left`}`;
  if (repair.waitingBytes > 0)
    text.push(`copying     ${prettyBytes(repair.waitingBytes, { binary: true })} wait, ${pace}`);
  if (repair.isRebalancing)
    text.push(`rebalancing ${prettyBytes(repair.movingBytes, { binary: true })} are to move, ${pace}`);
  for (const each of nodes) {
    if (each.unreachable) text.push(`unreachable node ${each.node}: ${each.unreachable}; it gets no chunks`);
    const [skew] = skewOf(each);
    if (skew !== undefined)
      text.push(`clock       node ${each.node}: ${skew} of the metadata server's; it does no harm`);
  }
  const isSound = repair.lost.chunks === 0 && repair.endangered.every(({ chunks }) => chunks === 0);
  if (repair.isComplete && isSound)
    text.push(
      repair.short.chunks > 0
        ? 'Add nodes, or lower the goal.'
        : 'Everything has the replicas that it should have.',
    );
  return text;
}

function totals({ chunks, bytes }: ChunkTotals): string {
  return `${chunks} chunk${chunks === 1 ? '' : 's'} (${prettyBytes(bytes, { binary: true })})`;
}

function duration(seconds: number): string {
  return seconds < 2 * MINUTE_S ? `${seconds} s` : `${Math.ceil(seconds / MINUTE_S)} min`;
}
