import { defineCommand } from '../command.js';
import { UsageError } from '../usage-error.js';

export const local = defineCommand({
  name: 'local',
  positionals: '<action> [mountpoint]',
  summary:
    'A cluster on this machine alone, or the servers that dfs create and dfs join set up: start, look, stop',
  declare: (yargs, call) =>
    yargs
      .positional('action', {
        choices: ['up', 'down', 'status'] as const,
        demandOption: true,
        describe:
          'start what does not run yet, and mount; unmount and stop what was started, with everything kept; a line for each process',
      })
      .positional('mountpoint', {
        type: 'string',
        describe: 'up, down: where it is mounted [default: where it was last, else /mnt/dfs]',
      })
      .example([
        [`${call} up`, 'a metadata server, three data nodes, and a mount at /mnt/dfs'],
        [`DFS_NODES=5 DFS_GOAL=3 ${call} up ~/dfs`, 'five data nodes, three replicas'],
        [`${call} status`, 'exit code 0 when all run'],
        [`${call} down`, 'flush, unmount, stop'],
      ])
      .epilog(
        'DFS_HOME (default $HOME/.dfs) has state, logs, process ids and the key. DFS_PORT (8000), DFS_NODES (3) and DFS_GOAL (2) hold ' +
          'from the first start until the cluster is stopped; data nodes stay. Clusters with different DFS_HOME, DFS_PORT and mount points run side by side.',
      ),
  async run({ action, mountpoint }) {
    if (action === 'status' && mountpoint !== undefined) throw new UsageError('status takes no mount point');
    const { up, down, status } = await import('../local/local-cluster.js');
    const machine = await import('../machine/machine-cluster.js');
    const layout = await machine.ownLayout();
    if (layout) {
      if (mountpoint !== undefined)
        throw new UsageError(
          `this machine's servers are set up (dfs create, dfs join); mount with: dfs mount ${mountpoint}`,
        );
      if (action === 'up') await machine.startConfigured(layout);
      else if (action === 'down') await machine.stopConfigured(layout);
      else await machine.tellConfigured(layout);
    } else if (action === 'up') await up(mountpoint);
    else if (action === 'down') await down(mountpoint);
    else await status();
  },
});
