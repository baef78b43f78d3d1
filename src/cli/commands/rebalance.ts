import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';

export const rebalance = defineCommand({
  name: 'rebalance',
  positionals: '[server]',
  summary: 'Make the data nodes about equally full; dfs status shows how far it is',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('server', SERVER_POSITIONAL)
      .option('stop', { type: 'boolean', default: false, describe: 'stop it' })
      .example([[call, '']])
      .epilog('Chunks also move by themselves when one node is fuller than another by a tenth of its size.'),
  async run(parameters) {
    await withFileSystem(
      'rebalance',
      chooseServer(parameters.server),
      { ...parameters, role: 'admin' },
      async ({ cluster }) => {
        await cluster.rebalance(!parameters.stop);
      },
    );
  },
});
