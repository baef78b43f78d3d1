import { systemClock } from '../../platform/clock.js';
import { createLogger, LOG_LEVELS } from '../../platform/log.js';
import { tcpNetwork } from '../../platform/network.js';
import { systemRandom } from '../../platform/random.js';
import { DEFAULT_METADATA_PORT, parseHost, parseListenPort } from '../address.js';
import { defineCommand } from '../command.js';
import { defaultDatabasePath } from '../dfs-home.js';
import { KEY_FILE_OPTION, keyOf } from '../key-option.js';
import { runUntilSignal } from '../server-lifetime.js';

export const metaData = defineCommand({
  name: 'meta-data',
  positionals: '[port]',
  summary: 'Run the metadata server until Ctrl-C',
  declare: (yargs, call) =>
    yargs
      .positional('port', {
        type: 'string',
        default: String(DEFAULT_METADATA_PORT),
        coerce: parseListenPort,
        describe: 'TCP port to listen on; 0 takes a free one',
      })
      .option('db', {
        type: 'string',
        requiresArg: true,
        default: defaultDatabasePath(),
        defaultDescription: '$DFS_HOME/metadata/dfs.db, with DFS_HOME=$HOME/.dfs',
        describe: 'the database that createdb made',
      })
      .option('host', {
        type: 'string',
        requiresArg: true,
        default: '127.0.0.1',
        coerce: parseHost,
        describe: 'address to listen on; any but loopback needs a key',
      })
      .option('durability', {
        choices: ['group', 'strict'] as const,
        default: 'group' as const,
        describe: 'changes survive power loss after at most one second, or before they are acknowledged',
      })
      .option('key-file', KEY_FILE_OPTION)
      .option('log-level', { choices: LOG_LEVELS, default: 'info' as const, describe: 'how much to log' })
      .example([
        [call, 'on 127.0.0.1:8000'],
        [`${call} 8000 --host 10.0.0.1 --key-file key`, 'for other machines'],
      ])
      .epilog('Logs JSON lines to standard error; the line with "msg":"ready" says that it listens.'),
  async run({ port, db, host, durability, keyFile, logLevel }) {
    const log = createLogger('meta-data', logLevel);
    const { MetadataServer } = await import('../../metadata/metadata-server.js');
    const server = new MetadataServer({
      databasePath: db,
      endpoint: { host, port },
      key: keyOf(keyFile),
      durability,
      network: tcpNetwork,
      clock: systemClock,
      random: systemRandom,
      log,
    });
    await runUntilSignal(server, log);
  },
});
