/** A picture of a comparison: a small bar chart for each workload. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Row } from './comparison.js';
import type { SubjectName } from './subject.js';

const COLUMNS = 6;
const WIDTH = 150;
const HEIGHT = 100;
const LESS_IS_BETTER: ReadonlySet<string> = new Set(['s', 'ms', 'µs/op', 'MiB']);

/** As SVG. A local disk is left out: beside it nothing else would be seen. */
export async function chart(rows: readonly Row[], subjects: readonly SubjectName[]): Promise<string> {
  const shown = subjects.filter(subject => subject !== 'local');
  const values = rows.flatMap(row =>
    shown.flatMap(subject => {
      const summary = row.summaries.get(subject);
      return summary ? [{ workload: titleOf(row), subject, value: summary.median }] : [];
    }),
  );
  const specification: TopLevelSpec = {
    data: { values },
    facet: { field: 'workload', type: 'nominal', sort: rows.map(titleOf), title: null },
    columns: COLUMNS,
    align: 'all',
    spec: {
      width: WIDTH,
      height: HEIGHT,
      mark: 'bar',
      encoding: {
        x: { field: 'subject', type: 'nominal', sort: [...shown], axis: null },
        y: { field: 'value', type: 'quantitative', title: null, axis: { tickCount: 4 } },
        color: {
          field: 'subject',
          type: 'nominal',
          sort: [...shown],
          legend: { orient: 'top', title: null },
        },
      },
    },
    // Each workload has its own unit.
    resolve: { scale: { y: 'independent' } },
  };
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function titleOf({ workload, unit }: Row): string {
  return `${workload} (${unit}${LESS_IS_BETTER.has(unit) ? ', less is better' : ''})`;
}
