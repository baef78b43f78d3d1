import { systemClock } from '../../platform/clock.js';
import { createLogger, LOG_LEVELS } from '../../platform/log.js';
import { systemRandom } from '../../platform/random.js';
import { HEARTBEAT_MS, NODE_LOST_MS, NODE_SUSPECT_MS } from '../../protocol/limits.js';
import { LOOPBACK, DEFAULT_METADATA_PORT, parseHost, parseListenPort } from '../address.js';
import { cacheSizeOption } from '../memory-option.js';
import { defineCommand } from '../command.js';
import { defaultDatabasePath } from '../dfs-home.js';
import { KEY_FILE_OPTION } from '../key-option.js';
import { serverAccess } from '../member-access.js';
import { keyringForServer } from '../server-key.js';
import { parseBytes, parseSeconds } from '../quantity.js';
import { UsageError } from '../usage-error.js';
import { runUntilSignal } from '../server-lifetime.js';

export const metaData = defineCommand({
  name: 'meta-data',
  positionals: '[port]',
  summary: 'Run the metadata server until Ctrl-C',
  takesConfig: true,
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
        default: LOOPBACK,
        coerce: parseHost,
        describe: 'address to listen on',
      })
      .option('durability', {
        choices: ['group', 'strict'] as const,
        default: 'group' as const,
        describe: 'changes survive power loss after at most one second, or before they are acknowledged',
      })
      .option('suspect-after', {
        type: 'string',
        requiresArg: true,
        default: String(NODE_SUSPECT_MS / 1000),
        coerce: parseSeconds,
        describe: 'seconds of silence after which a data node gets no new chunks',
      })
      .option('lost-after', {
        type: 'string',
        requiresArg: true,
        default: String(NODE_LOST_MS / 1000),
        coerce: parseSeconds,
        describe: 'seconds of silence after which its replicas are made again on other nodes',
      })
      .option('repair-rate', {
        type: 'string',
        requiresArg: true,
        default: '100M',
        coerce: parseBytes,
        describe: 'the most that is copied between data nodes in a second, so that users keep their speed',
      })
      .option('backup-interval', {
        type: 'string',
        requiresArg: true,
        default: '60',
        coerce: parseSeconds,
        describe: 'seconds between backups of the metadata to the data nodes while it changes; 0 for none',
      })
      .option('defragment-after', {
        type: 'string',
        requiresArg: true,
        default: '60',
        coerce: parseSeconds,
        describe:
          'seconds after its last change in which a file in many small pieces is rewritten in large ones',
      })
      .option('collect-after', {
        type: 'string',
        requiresArg: true,
        default: '60',
        coerce: parseSeconds,
        describe: 'seconds after which the space of what was deleted or overwritten may be used again',
      })
      .option(
        'cache-size',
        cacheSizeOption(256 << 20, 'memory for pages of the database, and for knowing what clients cache'),
      )
      .option('key-file', KEY_FILE_OPTION)
      .option('new-key', {
        type: 'boolean',
        default: false,
        describe:
          "once, to replace the cluster's key: take the one in the key file (made if there is none) from now on",
      })
      .option('log-level', { choices: LOG_LEVELS, default: 'info' as const, describe: 'how much to log' })
      .example([
        [call, 'on 127.0.0.1:8000'],
        [`${call} 8000 --host 10.0.0.1 --key-file key`, 'for other machines'],
        [`${call} --config /etc/dfs/metadata.toml`, 'everything from a file, as a service'],
      ])
      .epilog('Logs JSON lines to standard error; the line with "msg":"ready" says that it listens.'),
  async run(parameters) {
    const { port, db, host, durability, keyFile, logLevel, suspectAfter, lostAfter } = parameters;
    const { newKey, repairRate, defragmentAfter, backupInterval, collectAfter, cacheSize } = parameters;
    if (lostAfter < suspectAfter) throw new UsageError('--lost-after must not be less than --suspect-after');
    if (suspectAfter < HEARTBEAT_MS) {
      throw new UsageError('--suspect-after must be at least a second, which is how often data nodes beat');
    }
    if (repairRate < 1) throw new UsageError('--repair-rate must be more than nothing');
    if (backupInterval > 0 && backupInterval < 1000)
      throw new UsageError('--backup-interval must be at least a second, or 0 for no backups');
    if (collectAfter < 1000) throw new UsageError('--collect-after must be at least a second');
    const log = createLogger('meta-data', logLevel);
    const { MetadataServer } = await import('../../metadata/metadata-server.js');
    const keys = await keyringForServer({ keyFile, databasePath: db, host, isNewKey: newKey });
    const { network, revocations } = serverAccess(keys, log);
    const server = new MetadataServer({
      databasePath: db,
      endpoint: { host, port },
      keys,
      isNewKey: newKey,
      durability,
      nodePatience: { suspectAfterMs: suspectAfter, lostAfterMs: lostAfter },
      repairBytesPerSecond: repairRate,
      defragmentAfterMs: defragmentAfter,
      backupIntervalMs: backupInterval,
      graceMs: collectAfter,
      cacheBytes: cacheSize,
      network,
      revocations,
      clock: systemClock,
      random: systemRandom,
      log,
    });
    await runUntilSignal(server, log);
  },
});
