import { systemClock } from '../../platform/clock.js';
import { createLogger, LOG_LEVELS } from '../../platform/log.js';
import { systemRandom } from '../../platform/random.js';
import {
  DEFAULT_METADATA_PORT,
  parseHost,
  parseHostAndPort,
  parseListenPort,
  parsePort,
} from '../address.js';
import { cacheSizeOption } from '../memory-option.js';
import { defineCommand } from '../command.js';
import { KEY_FILE_OPTION } from '../key-option.js';
import { accessAs } from '../member-access.js';
import { parseBytes, parseDays, parseSeconds } from '../quantity.js';
import { runUntilSignal } from '../server-lifetime.js';
import { UsageError } from '../usage-error.js';

const MIN_SEGMENT_BYTES = 1 << 20;
const MAX_SEGMENT_BYTES = 1 << 30;

export const dataNode = defineCommand({
  name: 'data-node',
  positionals: '<server> <port> <datapath> [metadata-port]',
  summary: 'Run a data node until Ctrl-C',
  takesConfig: true,
  declare: (yargs, call) =>
    yargs
      .positional('server', {
        type: 'string',
        demandOption: true,
        coerce: parseHostAndPort,
        describe: 'the metadata server, HOST[:PORT]',
      })
      .positional('port', {
        type: 'string',
        demandOption: true,
        coerce: parseListenPort,
        describe: 'TCP port to listen on; 0 takes a free one',
      })
      .positional('datapath', {
        alias: 'path',
        type: 'string',
        demandOption: true,
        describe: 'directory for the data; made if there is none',
      })
      .positional('metadata-port', {
        type: 'string',
        coerce: (text: string | undefined): number | undefined =>
          text === undefined ? undefined : parsePort(text),
        describe: `the metadata server's port, where server has none [default: ${DEFAULT_METADATA_PORT}]`,
      })
      .option('host', {
        type: 'string',
        requiresArg: true,
        coerce: parseHost,
        describe: 'address to listen on [default: the one by which it reaches the metadata server]',
      })
      .option('advertise', {
        type: 'string',
        requiresArg: true,
        coerce: parseHost,
        describe: 'host by which others reach it [default: the address it listens on]',
      })
      .option('domain', {
        type: 'string',
        requiresArg: true,
        describe:
          'what fails together with it, e.g. rack1; replicas are spread over domains [default: its host]',
      })
      .option('patience', {
        type: 'string',
        requiresArg: true,
        default: '10',
        coerce: parseSeconds,
        describe: 'seconds for which it waits at its start for a metadata server that does not answer',
      })
      .option('scrub-days', {
        type: 'string',
        requiresArg: true,
        default: '14',
        coerce: parseDays,
        describe: 'days in which everything is read once, to find what rots; 0: never',
      })
      .option('segment-size', {
        type: 'string',
        requiresArg: true,
        default: '256M',
        coerce: parseBytes,
        describe: 'size of the files in which chunks are packed; space comes back when most of one is dead',
      })
      .option('cache-size', cacheSizeOption(8 << 20, 'memory for the checksums of chunks that are read'))
      .option('key-file', KEY_FILE_OPTION)
      .option('log-level', { choices: LOG_LEVELS, default: 'info' as const, describe: 'how much to log' })
      .example([
        [`${call} 127.0.0.1 9000 /srv/dfs`, 'for a metadata server on this machine'],
        [`${call} 10.0.0.1:8000 9000 /srv/dfs`, 'on a machine of its own, which has joined'],
        [`${call} 10.0.0.1 9000 /srv/dfs --host 0.0.0.0 --advertise node1.example.org`, 'behind a name'],
        [`${call} --config /etc/dfs/node.toml`, 'everything from a file, as a service'],
      ])
      .epilog('Logs JSON lines to standard error; the line with "msg":"ready" says that it serves.'),
  async run(parameters) {
    const { server, port, datapath, metadataPort, host, advertise, domain } = parameters;
    const { patience, scrubDays, segmentSize, cacheSize, keyFile, logLevel } = parameters;
    if (segmentSize < MIN_SEGMENT_BYTES || segmentSize > MAX_SEGMENT_BYTES)
      throw new UsageError('--segment-size must be from 1M to 1G');
    if (server.port !== undefined && metadataPort !== undefined && server.port !== metadataPort)
      throw new UsageError(
        `the metadata server's port is given twice, as ${server.port} and as ${metadataPort}; leave one out`,
      );
    const metadata = { host: server.host, port: server.port ?? metadataPort ?? DEFAULT_METADATA_PORT };
    const log = createLogger('data-node', logLevel);
    const { DataNode } = await import('../../datanode/data-node.js');
    const { nodeDisk } = await import('../../platform/disk.js');
    const { keys, network, keeper } = accessAs('node', { keyFile, log, metadata });
    const node = new DataNode({
      metadata,
      directory: datapath,
      host,
      port,
      advertise,
      domain,
      startTimeoutMs: patience,
      scrubPeriodMs: scrubDays,
      segmentBytes: segmentSize,
      cacheBytes: cacheSize,
      keys,
      network,
      clock: systemClock,
      random: systemRandom,
      disk: nodeDisk,
      log,
    });
    keeper?.start();
    try {
      await runUntilSignal(node, log);
    } finally {
      keeper?.close();
    }
  },
});
