import { rm } from 'node:fs/promises';
import { createLogger } from '../../platform/log.js';
import { DfsError } from '../../protocol/errors.js';
import { ROLES } from '../../protocol/roles.js';
import { formatEndpoint } from '../address.js';
import { defineCommand } from '../command.js';
import { storedIdentities } from '../identity-files.js';
import { removeConfig } from '../machine/config-files.js';
import { machineLayout, type MachineLayout } from '../machine/machine-layout.js';
import { machineServices } from '../machine/machine-services.js';
import { nodeServices } from '../machine/node-service.js';
import { forgetServer } from '../machine/server-record.js';
import { leaveCluster } from '../membership.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { writeOut } from '../standard-output.js';

export const leave = defineCommand({
  name: 'leave',
  positionals: '[server]',
  summary: 'Make this machine no member of its cluster any more, and remove its certificates',
  declare: (yargs, call) =>
    yargs
      .positional('server', SERVER_POSITIONAL)
      .option('role', { choices: ROLES, describe: 'only as this [default: in every role]' })
      .option('force', {
        type: 'boolean',
        default: false,
        describe:
          'also when no metadata server answers; an administrator then removes the member (dfs member remove)',
      })
      .example([[`${call} 10.0.0.1`, '']])
      .epilog(
        'Unmount first. A data node keeps its directory; drain it before (dfs node drain), or its replicas are made again elsewhere.',
      ),
  async run({ server, role, force }) {
    const stored = storedIdentities().filter(
      ({ identity }) => role === undefined || identity.member.role === role,
    );
    if (stored.length === 0) throw new DfsError('ENOENT', 'this machine is no member of a cluster');
    const endpoint = chooseServer(server);
    for (const { path, identity } of stored) {
      const { role: own, name } = identity.member;
      const isTold = await leaveCluster(endpoint, identity, createLogger('leave', 'silent'));
      if (!isTold && !force) {
        throw new DfsError(
          'EHOSTUNREACH',
          `no metadata server answers at ${formatEndpoint(endpoint)}; with --force the certificates are removed all the same`,
        );
      }
      if (own === 'node') await stopNodes(machineLayout());
      await rm(path);
      if (storedIdentities().length === 0) await forgetServer(machineLayout());
      await writeOut(
        `${own}/${name} is no member any more${isTold ? '' : ', but the cluster does not know it'}; removed ${path}\n`,
      );
    }
  },
});

/** The data nodes of this machine run no more, and do not start with it. Their directories stay. */
async function stopNodes(layout: MachineLayout): Promise<void> {
  const services = machineServices(layout);
  for (const { name, directory } of await nodeServices(layout)) {
    await services.disable(name);
    await removeConfig(layout, name);
    await writeOut(`the data node in ${directory} is stopped; its data stays there\n`);
  }
}
