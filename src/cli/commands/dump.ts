import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupNode as BackupNodeType } from '../../metadata/recovery/backup-node.js';
import { systemClock } from '../../platform/clock.js';
import { removeAtExit } from '../../platform/exit-removal.js';
import { createLogger } from '../../platform/log.js';
import type { Endpoint } from '../../platform/network.js';
import { systemRandom } from '../../platform/random.js';
import { DfsError } from '../../protocol/errors.js';
import { clientOptions, withFileSystem, type ClientParameters } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_DESCRIPTION } from '../server-choice.js';
import { accessAs } from '../member-access.js';
import { secureOutput } from '../secure-output.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

export const dump = defineCommand({
  name: 'dump',
  positionals: '[server]',
  summary: 'Write all metadata to standard output, as JSON lines',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('server', {
        type: 'string',
        describe: `${SERVER_DESCRIPTION}; it makes a backup, which is dumped`,
      })
      .option('db', {
        type: 'string',
        requiresArg: true,
        describe: 'the database of a server that is stopped, instead of a server',
      })
      .option('with-secrets', {
        type: 'boolean',
        default: false,
        describe: 'with the key that signs grants and the sessions of clients: mounts go on after dfs load',
      })
      .example([
        [`${call} > f.jsonl`, 'while it is used'],
        [`${call} --db dfs.db > f.jsonl`, 'of a stopped server'],
      ])
      .epilog(
        'dfs load makes a database of it. Keep a dump with secrets as secret as the key of the cluster.',
      ),
  async run(parameters) {
    const { server, db } = parameters;
    if (server !== undefined && db !== undefined) throw new UsageError('give either a server or --db');
    if (parameters.withSecrets)
      secureOutput({
        program: 'dfs dump',
        secret: 'the secrets of the cluster',
        otherwise: ', or leave out --with-secrets',
      });
    if (db !== undefined) await dumpStopped(db, parameters.withSecrets);
    else await dumpServer(chooseServer(server), parameters);
  },
});

async function dumpStopped(path: string, secrets: boolean): Promise<void> {
  const { takeDatabaseLock } = await import('../../metadata/database-lock.js');
  const { requireDatabaseFile } = await import('../../metadata/store/sqlite/database-file.js');
  await requireDatabaseFile(path);
  const lock = takeDatabaseLock(path, 'dfs dump');
  try {
    await writeDump(path, secrets);
  } finally {
    lock.release();
  }
}

async function writeDump(path: string, secrets: boolean): Promise<void> {
  const { dumpDatabase } = await import('../../metadata/dump/dump.js');
  for await (const block of dumpDatabase(path, secrets)) await writeOut(block);
}

/** Has a backup made, puts it together here, and dumps that: the server has nothing more to do than for any backup. */
async function dumpServer(
  server: Endpoint,
  parameters: ClientParameters & { readonly withSecrets: boolean },
): Promise<void> {
  const holders: Endpoint[] = [];
  await withFileSystem('dump', server, { ...parameters, role: 'admin' }, async ({ cluster }) => {
    const { problem, nodes } = await cluster.backupNow();
    if (problem !== '') {
      throw new DfsError('EIO', `no backup could be made to dump (${problem}); stop meta-data and use --db`);
    }
    for (const { node, host, port } of await cluster.nodes())
      if (nodes.includes(node)) holders.push({ host, port });
  });
  const { BackupNode } = await import('../../metadata/recovery/backup-node.js');
  const { restoreNewestBackup } = await import('../../metadata/recovery/restore-backup.js');
  const directory = await mkdtemp(join(tmpdir(), 'dfs-dump-'));
  const keep = removeAtExit(directory);
  const sources: BackupNodeType[] = [];
  try {
    const log = createLogger('dump', parameters.logLevel);
    const { keys, network } = accessAs('admin', { keyFile: parameters.keyFile, log });
    const access = {
      network,
      clock: systemClock,
      random: systemRandom,
      log,
      keys,
    };
    for (const endpoint of holders) sources.push(await BackupNode.open(endpoint, access));
    const path = join(directory, 'dfs.db');
    await restoreNewestBackup(sources, path);
    await writeDump(path, parameters.withSecrets);
  } finally {
    for (const source of sources) source.close();
    await rm(directory, { recursive: true, force: true });
    keep();
  }
}
