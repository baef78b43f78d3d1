/** The picture of how much memory mounts have while files pass through them. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { PHASES, type Sample } from './memory-run.js';

const WIDTH = 760;
const HEIGHT = 260;

/**
 * As SVG.
 * @param boundMib a line that is not to be crossed
 */
export async function memoryChart(
  samples: readonly Sample[],
  boundMib: number,
  title: string,
): Promise<string> {
  const specification: TopLevelSpec = {
    title,
    width: WIDTH,
    height: HEIGHT,
    layer: [
      {
        data: { values: [...samples] },
        mark: { type: 'line', strokeWidth: 1.5 },
        encoding: {
          x: { field: 'seconds', type: 'quantitative', title: 'seconds since the mount began' },
          y: { field: 'mib', type: 'quantitative', title: 'resident memory of the mount (MiB)' },
          color: { field: 'phase', type: 'nominal', sort: [...PHASES], title: null },
          strokeDash: { field: 'subject', type: 'nominal', title: null },
        },
      },
      {
        data: { values: [{ mib: boundMib }] },
        mark: { type: 'rule', strokeDash: [2, 3], color: 'gray' },
        encoding: { y: { field: 'mib', type: 'quantitative' } },
      },
    ],
  };
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
