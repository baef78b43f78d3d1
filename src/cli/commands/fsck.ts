import type { ClusterControl } from '../../client/cluster-control.js';
import { sleep, systemClock } from '../../platform/clock.js';
import { DfsError } from '../../protocol/errors.js';
import type { FsckStatus } from '../../protocol/cluster-commands.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_POSITIONAL } from '../server-choice.js';
import { progressBar } from '../progress-bar.js';
import { writeOut } from '../standard-output.js';

const LOOK_MS = 200;

type Findings = FsckStatus['findings'];

export const fsck = defineCommand({
  name: 'fsck',
  positionals: '[server]',
  summary: 'Check the metadata and that every chunk has its replicas, while the file system is used',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('server', SERVER_POSITIONAL)
      .option('deep', {
        type: 'boolean',
        default: false,
        describe: 'read every replica and check every byte',
      })
      .option('repair', {
        type: 'boolean',
        default: false,
        describe: 'put counts, names that lead nowhere and unreachable files (to /lost+found) right',
      })
      .option('json', { type: 'boolean', default: false, describe: 'as a JSON array' })
      .example([
        [call, ''],
        [`${call} --deep`, 'find what has rotted'],
      ])
      .epilog(
        'Exit code 0 only when nothing is wrong. Replicas that are damaged or missing are made again by themselves ' +
          '(dfs status); what is told of them is how things were.',
      ),
  async run({ server, deep, repair, json, ...parameters }) {
    await withFileSystem(
      'fsck',
      chooseServer(server),
      { ...parameters, role: 'admin' },
      async ({ cluster }) => {
        await cluster.startFsck(deep, repair);
        const { findings, count } = await untilDone(cluster);
        await writeOut(
          json ? `${JSON.stringify(findings.map(forPrograms), null, 2)}\n` : lines(findings, count),
        );
        const left = count - findings.filter(({ isRepaired }) => isRepaired).length;
        if (left > 0) throw new DfsError('EUCLEAN', `${left} of ${count} problems are left`);
        if (count > 0 && !repair)
          throw new DfsError('EUCLEAN', `${count} problems were found, and are taken care of`);
      },
    );
  },
});

async function untilDone(cluster: ClusterControl): Promise<{ findings: Findings; count: number }> {
  const bar = progressBar({ format: '{bar} {percentage}% {stage}' });
  bar.start(1, 0, { stage: '' });
  const findings: Findings = [];
  try {
    for (;;) {
      const status = await cluster.fsckStatus(findings.length);
      findings.push(...status.findings);
      bar.setTotal(Math.max(1, status.totalBytes));
      bar.update(status.doneBytes, { stage: status.stage });
      if (!status.isRunning && findings.length >= status.named) {
        return { findings, count: Math.max(status.count, findings.length) };
      }
      if (status.findings.length === 0) await sleep(systemClock, LOOK_MS);
    }
  } finally {
    bar.stop();
  }
}

function lines(findings: Findings, count: number): string {
  const text = findings.map(({ path, what, isRepaired }) => {
    const name = Buffer.from(path).toString();
    return `${name}: ${what}${isRepaired ? ' (put right)' : ''}\n`;
  });
  if (count > findings.length) text.push(`… and ${count - findings.length} more\n`);
  if (count === 0) text.push('Nothing is wrong.\n');
  return text.join('');
}

function forPrograms({ kind, path, what, isRepaired }: Findings[number]): object {
  return { kind, path: Buffer.from(path).toString(), what, isRepaired };
}
