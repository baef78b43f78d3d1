/** A picture of a comparison: a small bar chart for each workload. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Row } from './comparison.js';
import type { SubjectName } from './subject.js';

const COLUMNS = 6;
const WIDTH = 150;
const HEIGHT = 100;

/** As SVG. */
export async function chart(rows: readonly Row[], subjects: readonly SubjectName[]): Promise<string> {
  const values = rows.flatMap(({ workload, unit, summaries }) =>
    subjects.flatMap(subject => {
      const summary = summaries.get(subject);
      const title = `${workload} (${unit}${unit === 's' || unit === 'MiB' ? ', less is better' : ''})`;
      return summary ? [{ workload: title, subject, value: summary.median }] : [];
    }),
  );
  const specification: TopLevelSpec = {
    data: { values },
    facet: { field: 'workload', type: 'nominal', sort: null, title: null },
    columns: COLUMNS,
    spec: {
      width: WIDTH,
      height: HEIGHT,
      mark: 'bar',
      encoding: {
        x: { field: 'subject', type: 'nominal', sort: [...subjects], title: null },
        y: { field: 'value', type: 'quantitative', title: null, axis: { tickCount: 4, format: '~s' } },
        color: { field: 'subject', type: 'nominal', sort: [...subjects], legend: null },
      },
    },
    // Each workload has its own unit.
    resolve: { scale: { x: 'independent', y: 'independent' } },
  };
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
