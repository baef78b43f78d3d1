/** The comparison as a table for a terminal or in Markdown. */
import Table from 'cli-table3';
import { formatValue } from '../../src/cli/bench/measurement.js';
import type { Ratio, Row, SubjectRun, Summary } from './comparison.js';
import type { SubjectName } from './subject.js';
import type { Comparison, Target } from './targets.js';

const NOTHING = '–';
/** fsbench's note: processor time that neither it nor the subject took. */
const DISTURBED = 'other';
/** The note of `mounts/together.py`: lines that were appended and are not there. */
const LOST = 'lost';

export interface ReportOptions {
  readonly subjects: readonly SubjectName[];
  readonly comparisons: readonly Comparison[];
}

/** The table for a terminal. */
export function terminalTable(rows: readonly Row[], options: ReportOptions): string {
  const [head, ...body] = cells(rows, options);
  const table = new Table({
    head: head ?? [],
    colAligns: (head ?? []).map((_, column) => (column < 2 ? 'left' : 'right')),
    style: process.stdout.isTTY ? { compact: true } : { compact: true, head: [], border: [] },
  });
  table.push(...body);
  return `${table.toString()}\n`;
}

export function markdownTable(rows: readonly Row[], options: ReportOptions): string {
  const [head = [], ...body] = cells(rows, options);
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  const aligns = head.map((_, column) => (column < 2 ? '---' : '---:'));
  return `${[line(head), line(aligns), ...body.map(line)].join('\n')}\n`;
}

function cells(rows: readonly Row[], { subjects, comparisons }: ReportOptions): string[][] {
  const head = ['workload', 'unit', ...subjects, ...comparisons.map(nameOf)];
  const body = rows.map(({ workload, unit, summaries, ratios }) => [
    workload,
    unit,
    ...subjects.map(subject => summaryCell(summaries.get(subject))),
    ...comparisons.map(wanted => ratioCell(ratios.find(({ comparison }) => comparison === wanted))),
  ]);
  return [head, ...body];
}

function nameOf({ subject, reference }: Comparison): string {
  return `${subject}/${reference}`;
}

function summaryCell(summary: Summary | undefined): string {
  if (!summary) return NOTHING;
  return `${summary.isUnsteady ? '~' : ''}${formatValue(summary.median)}`;
}

function ratioCell(ratio: Ratio | undefined): string {
  if (!ratio) return NOTHING;
  const { ratio: reached, target, isMet } = ratio;
  if (!target) return formatRatio(reached);
  return `${formatRatio(reached)} ${boundOf(target)} ${isMet ? '✓' : '✗'}`;
}

function formatRatio(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 2 : 0);
}

function boundOf({ kind, ratio }: Target): string {
  return `${kind === 'at least' ? '≥' : '≤'}${ratio}`;
}

/** What to know besides the table. */
export function remarks(rows: readonly Row[], runs: readonly SubjectRun[]): string[] {
  const targets = rows.flatMap(({ workload, ratios }) => ratios.map(ratio => ({ workload, ratio })));
  const withTarget = targets.filter(({ ratio }) => ratio.isMet !== undefined);
  const missed = withTarget.filter(({ ratio }) => !ratio.isMet);
  const lines = [
    'Medians of the runs (~: they differ by more than a quarter). Ratios are of speeds, so that more is better also ' +
      'where seconds are measured; those of memory are of amounts.',
  ];
  if (withTarget.length > 0) {
    const met = withTarget.length - missed.length;
    lines.push(`${met} of ${withTarget.length} targets are met${missed.length > 0 ? '; not:' : '.'}`);
    for (const name of new Set(missed.map(({ ratio }) => nameOf(ratio.comparison)))) {
      const workloads = missed.filter(({ ratio }) => nameOf(ratio.comparison) === name);
      lines.push(`  ${name}: ${workloads.map(({ workload }) => workload).join(', ')}`);
    }
  }
  const disturbed = runs.flatMap(({ run, subject, measurements }) => {
    const count = measurements.filter(({ notes }) => DISTURBED in notes).length;
    return count > 0 ? [`${count} of ${measurements.length} measurements of ${subject} in run ${run}`] : [];
  });
  if (disturbed.length > 0) {
    lines.push(`Others used the processors during ${disturbed.join(', ')} (\`other\` in the results).`);
  }
  for (const { run, subject, measurements } of runs) {
    for (const { name, notes } of measurements) {
      if (LOST in notes) lines.push(`${subject} lost ${notes[LOST]} lines in ${name}, run ${run}.`);
    }
  }
  for (const { run, subject, failure } of runs) {
    if (failure !== undefined) lines.push(`${subject} failed in run ${run}: ${failure}`);
  }
  return lines;
}
