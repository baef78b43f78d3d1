/** Tables of the measurements: one for each group, since each grows in another way. */
import Table from 'cli-table3';
import { formatValue } from '../../../src/cli/bench/measurement.js';
import { growthOf, isKept, type CostSeries } from './cost-series.js';

const NOTHING = '–';

export function terminalTables(series: readonly CostSeries[]): string {
  return tablesOf(series)
    .map(([head = [], ...body]) => {
      const table = new Table({
        head: [...head],
        colAligns: head.map((_, column) => (column < 2 ? 'left' : 'right')),
        style: process.stdout.isTTY ? { compact: true } : { compact: true, head: [], border: [] },
      });
      table.push(...body.map(row => [...row]));
      return table.toString();
    })
    .join('\n');
}

export function markdownTables(series: readonly CostSeries[]): string {
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  return tablesOf(series)
    .map(([head = [], ...body]) => {
      const aligns = head.map((_, column) => (column < 2 ? '---' : '---:'));
      return [line(head), line(aligns), ...body.map(line)].join('\n');
    })
    .join('\n\n');
}

/** Head and body of each group's table. */
function tablesOf(series: readonly CostSeries[]): (readonly string[])[][] {
  const groups = [...new Set(series.map(({ group }) => group))];
  return groups.map(group => {
    const rows = series.filter(each => each.group === group);
    const sizes = [...new Set(rows.flatMap(({ points }) => points.map(({ size }) => size)))];
    const body = rows.map(row => {
      const values = sizes.map(size => {
        const point = row.points.find(each => each.size === size);
        return point ? formatValue(point.value) : NOTHING;
      });
      return [row.what, row.unit].concat(values, growth(row), verdict(row));
    });
    const head: readonly string[] = [group, 'unit'].concat(sizes, 'growth', 'promise');
    return [head].concat(body);
  });
}

function growth(series: CostSeries): string {
  const times = growthOf(series);
  return times === undefined ? NOTHING : `${times.toFixed(2)}x`;
}

function verdict(series: CostSeries): string {
  const kept = isKept(series);
  if (kept === undefined) return NOTHING;
  return kept ? 'kept' : 'BROKEN';
}
