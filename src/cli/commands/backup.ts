import prettyBytes from 'pretty-bytes';
import type { BackupStatus } from '../../protocol/backup-commands.js';
import { DfsError } from '../../protocol/errors.js';
import { backupTrouble } from '../../protocol/backup-trouble.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { writeOut } from '../standard-output.js';

export const backup = defineCommand({
  name: 'backup',
  positionals: '<action> [server]',
  summary: 'Show how old the backup of the metadata is, or make one now',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('action', {
        choices: ['status', 'now'] as const,
        demandOption: true,
        describe: 'show how it is; make one, then show it',
      })
      .positional('server', SERVER_POSITIONAL)
      .option('json', { type: 'boolean', default: false, describe: 'as a JSON object' })
      .example([
        [`${call} status`, ''],
        [`${call} now`, 'before something dangerous'],
      ])
      .epilog('The exit code is 1 when the backup is off, failed, or is older than five intervals.'),
  async run(parameters) {
    const { action, server, json } = parameters;
    const role = action === 'now' ? 'admin' : 'client';
    await withFileSystem('backup', chooseServer(server), { ...parameters, role }, async ({ cluster }) => {
      const status = action === 'now' ? await cluster.backupNow() : await cluster.backupStatus();
      await writeOut(json ? `${JSON.stringify(status, null, 2)}\n` : `${lines(status).join('\n')}\n`);
      const complaint = complaintAbout(status, action === 'now');
      if (complaint !== undefined) throw new DfsError('EIO', complaint);
    });
  },
});

function lines(status: BackupStatus): string[] {
  if (status.intervalMs === 0) return ['off       meta-data runs with --backup-interval 0'];
  const every = `every     ${status.intervalMs / 1000} s while there are changes`;
  if (status.newestMs === 0) return [every, 'newest    none since the metadata server started'];
  return [
    every,
    `newest    ${new Date(status.newestMs).toISOString()}, ${Math.round(status.ageMs / 1000)} s ago`,
    `changes   ${status.hasChanges ? 'some since then' : 'none since then'}`,
    `size      ${prettyBytes(status.bytes, { binary: true })} in ${status.files} files`,
    `nodes     ${status.nodes.length} of ${status.liveNodes} live data nodes have it`,
  ];
}

function complaintAbout(status: BackupStatus, isJustMade: boolean): string | undefined {
  const trouble = backupTrouble(status);
  if (trouble !== undefined) return trouble.text;
  return isJustMade && status.newestMs === 0 ? 'no backup was made; see the log of meta-data' : undefined;
}
