/** bench: measures the speed of a mount, or of any other directory. */
import { resolve } from 'node:path';
import { DfsError } from '../../protocol/errors.js';
import { canDropCaches, dropCaches } from '../bench/caches.js';
import { GROUP_NAMES, parseGroups, type GroupName } from '../bench/groups.js';
import { formatNotes, formatValue, type Measurement } from '../bench/measurement.js';
import { runBench } from '../bench/run-bench.js';
import { FULL_SIZES, QUICK_SIZES } from '../bench/sizes.js';
import { defineCommand } from '../command.js';
import { onEndSignal } from '../interruption.js';
import { writeOut } from '../standard-output.js';
import { tableFor } from '../table.js';
import { UsageError } from '../usage-error.js';

const NOT_COLD = 'what begins with cold caches is left out, since only root can drop them';

export const bench = defineCommand({
  name: 'bench',
  positionals: '<directory>',
  summary: 'Measure how fast a mount is, or any other directory',
  declare: (yargs, call) =>
    yargs
      .positional('directory', {
        type: 'string',
        demandOption: true,
        describe: 'where files are made and removed again; what is there already is not touched',
      })
      .option('only', {
        type: 'string',
        requiresArg: true,
        default: GROUP_NAMES.join(','),
        coerce: groupsOf,
        describe: 'some groups of workloads',
      })
      .option('quick', {
        type: 'boolean',
        default: false,
        describe: 'with small files, within half a minute; too small to compare anything by',
      })
      .option('json', { type: 'boolean', default: false, describe: 'as a JSON object' })
      .example([
        [`${call} /mnt/dfs`, ''],
        [`${call} /mnt/dfs --only small,git`, ''],
        [`${call} /tmp --quick --json`, 'a local disk, for programs'],
      ])
      .epilog(
        'Everything that is read is compared with what was written. Where a name says cold, the kernel has dropped its ' +
          'caches before, which only root can have it do; what the mount itself keeps, it keeps.',
      ),
  async run({ directory, only, quick, json }) {
    const path = resolve(directory);

    const measurements: Measurement[] = [];
    const notes: string[] = [];
    const isCold = canDropCaches();
    if (!isCold) notes.push(NOT_COLD);
    await untilInterrupted(async signal => {
      await runBench({
        directory: path,
        groups: only,
        sizes: quick ? QUICK_SIZES : FULL_SIZES,
        makeCold: isCold ? dropCaches : undefined,
        signal,
        onMeasurement: measurement => {
          measurements.push(measurement);
          showProgress(measurement);
        },
        onNote: sentence => notes.push(sentence),
      });
    });
    for (const sentence of notes) process.stderr.write(`bench: ${sentence}\n`);
    await writeOut(
      json ? `${JSON.stringify({ directory: path, measurements, notes }, null, 2)}\n` : table(measurements),
    );
  },
});

function groupsOf(text: string): readonly GroupName[] {
  const groups = parseGroups(text, GROUP_NAMES);
  if (typeof groups === 'string') throw new UsageError(groups);
  return groups;
}

/** Does `work`, which the first Ctrl-C asks to end and clean up. */
async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const stopListening = onEndSignal(() => {
    controller.abort(new DfsError('EINTR', 'interrupted; what it made is removed'));
  });
  try {
    await work(controller.signal);
  } finally {
    stopListening();
  }
}

/** On a terminal, where the table comes only at the end. */
function showProgress({ name, value, unit }: Measurement): void {
  if (process.stderr.isTTY) process.stderr.write(`${name} ${formatValue(value)} ${unit}\n`);
}

function table(measurements: readonly Measurement[]): string {
  const rows = tableFor({
    head: ['workload', 'result', 'unit', 'latency'],
    colAligns: ['left', 'right', 'left', 'left'],
    isCompact: true,
  });
  for (const { name, value, unit, notes } of measurements) {
    rows.push([name, formatValue(value), unit, formatNotes(notes)]);
  }
  return `${rows.toString()}\n`;
}
