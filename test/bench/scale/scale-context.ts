/** The context of each group of measurements. */
import type { CostBook } from './cost-series.js';
import type { ScaleSizes } from './scale-sizes.js';

export interface ScaleContext {
  /** For everything that is made; removed afterwards. */
  readonly directory: string;
  readonly sizes: ScaleSizes;
  readonly book: CostBook;
  readonly signal: AbortSignal;
}
