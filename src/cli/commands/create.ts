import { LOOPBACK, DEFAULT_METADATA_PORT, formatEndpoint, parseHost, parsePort } from '../address.js';
import { defineCommand } from '../command.js';
import { joinCommands, ROOT_OF_OTHERS } from '../join-commands.js';
import { createCluster } from '../machine/created-cluster.js';
import { machineLayout } from '../machine/machine-layout.js';
import { machineServices } from '../machine/machine-services.js';
import { DEFAULT_NODE_PORT } from '../machine/node-service.js';
import { reachableAddress } from '../machine/reachable-address.js';
import { serviceAccount } from '../machine/service-account.js';
import { secureOutput } from '../secure-output.js';
import { writeOut } from '../standard-output.js';

export const create = defineCommand({
  name: 'create',
  positionals: '<datapath..>',
  summary:
    'Make a cluster on this machine: a metadata server, and a data node for each directory, as services',
  declare: (yargs, call) =>
    yargs
      .parserConfiguration({ 'duplicate-arguments-array': true, 'parse-positional-numbers': false })
      .positional('datapath', {
        type: 'string',
        array: true,
        demandOption: true,
        describe:
          'an empty directory, or one to be made, for the data; several on different disks are several data nodes',
      })
      .option('host', {
        type: 'string',
        requiresArg: true,
        coerce: (text: string | undefined) => (text === undefined ? undefined : parseHost(text)),
        describe:
          'the address by which other machines reach this one [default: that of its way out of the network]',
      })
      .option('only-host', {
        type: 'boolean',
        default: false,
        describe: 'listen on that address alone, rather than on all of this machine',
      })
      .option('port', {
        type: 'string',
        requiresArg: true,
        default: String(DEFAULT_METADATA_PORT),
        coerce: parsePort,
        describe: "the metadata server's port",
      })
      .option('node-port', {
        type: 'string',
        requiresArg: true,
        default: String(DEFAULT_NODE_PORT),
        coerce: parsePort,
        describe: "the first data node's port; further ones take those after it",
      })
      .example([
        [`${call} /srv/dfs`, 'as root: services of this machine, that start with it'],
        [`DFS_HOME=~/dfs ${call} ~/dfs/data`, 'for one user, without root'],
      ])
      .epilog(
        'It prints the commands by which other machines join; the tokens in them count for an hour (dfs token create makes more). ' +
          'Servers run under systemd where it runs, else by: dfs local up.',
      ),
  async run({ datapath, host, onlyHost, port, nodePort }) {
    secureOutput({ program: 'dfs create', secret: 'tokens' });
    const layout = machineLayout();
    const services = machineServices(layout);
    const address = host ?? (await reachableAddress());
    const account = layout.user === undefined ? undefined : await serviceAccount(layout.user, layout.state);
    const { server, local, nodes } = await createCluster({
      layout,
      services,
      account,
      address: address ?? LOOPBACK,
      isOnlyThere: onlyHost || address === undefined,
      port,
      nodePort,
      directories: datapath,
    });
    const lines = [
      `The cluster runs: its metadata server on ${formatEndpoint(server)}, ${nodes.map(each => `a data node on port ${each.port} in ${each.directory}`).join(', ')}.`,
      `Keep a copy of its key elsewhere: ${layout.state}/key`,
      '',
    ];
    if (address === undefined)
      lines.push('This machine has no address by which others could reach it, so that none can join.', '');
    else lines.push(...(await joinCommands(local, server)), '');
    lines.push('Here and there, then:          dfs mount /mnt/dfs --background');
    if (address !== undefined) lines.push(ROOT_OF_OTHERS);
    await writeOut(`${lines.join('\n')}\n`);
  },
});
