import { DfsError } from '../../protocol/errors.js';
import { LOOPBACK, formatEndpoint, parseHost } from '../address.js';
import { defineCommand } from '../command.js';
import { joinCommands, ROOT_OF_OTHERS } from '../join-commands.js';
import { reachableAddress } from '../machine/reachable-address.js';
import { secureOutput } from '../secure-output.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

export const expose = defineCommand({
  name: 'expose',
  positionals: '',
  summary: "Let other machines join this machine's cluster of dfs local, which is closed to them until then",
  declare: (yargs, call) =>
    yargs
      .option('host', {
        type: 'string',
        requiresArg: true,
        coerce: (text: string | undefined) => (text === undefined ? undefined : parseHost(text)),
        describe:
          'the address by which they reach this machine [default: that of its way out of the network]',
      })
      .option('off', {
        type: 'boolean',
        default: false,
        describe: "let none in any more: it is this machine's alone again",
      })
      .example([
        [call, 'prints the commands by which others join'],
        [`${call} --off`, ''],
      ])
      .epilog(
        'Servers that run are started again, one after the other; mounts wait meanwhile. A cluster of dfs create needs no such command.',
      ),
  async run({ host, off }) {
    if (off && host !== undefined) throw new UsageError('--host and --off exclude each other');
    const { expose: change } = await import('../local/expose.js');
    const { ownLayout } = await import('../machine/machine-cluster.js');
    if (await ownLayout())
      throw new DfsError('EEXIST', 'other machines can join this cluster already, by: dfs token create');
    if (off) {
      await change(undefined);
      await writeOut("The cluster is this machine's alone\n");
      return;
    }
    secureOutput({ program: 'dfs expose', secret: 'tokens' });
    const address = host ?? (await reachableAddress());
    if (address === undefined)
      throw new DfsError(
        'EADDRNOTAVAIL',
        'this machine has no address by which others could reach it; say which by --host',
      );
    const { port, isRunning } = await change(address);
    const server = { host: address, port };
    if (!isRunning) {
      await writeOut(
        `Other machines reach the cluster at ${formatEndpoint(server)} when it runs: dfs local up\n`,
      );
      return;
    }
    const lines = [`Other machines reach the cluster at ${formatEndpoint(server)}.`, ''];
    lines.push(...(await joinCommands({ host: LOOPBACK, port }, server)), '', ROOT_OF_OTHERS);
    await writeOut(`${lines.join('\n')}\n`);
  },
});
