/** The cost of an operation at each size, and whether it has grown. */

/** The most that an operation may cost, as a multiple of its cost at the first size. */
const MAX_GROWTH = 1.5;

export interface CostPoint {
  /** 10000, `first tenth`, … */
  readonly size: string;
  readonly value: number;
}

/** What is promised of a series. */
export type CostBound =
  /** Nothing: it is worth knowing. */
  | { readonly is: 'told' }
  /** No point costs more than MAX_GROWTH times the first. */
  | { readonly is: 'flat' }
  /** No point is above a value. */
  | { readonly is: 'below'; readonly value: number };

export interface CostSeries {
  readonly group: string;
  readonly what: string;
  /** µs, ms, MiB, … */
  readonly unit: string;
  readonly bound: CostBound;
  readonly points: readonly CostPoint[];
}

/** Collects points into series, in the order in which they come. */
export class CostBook {
  readonly #group: string;
  readonly #onPoint: (line: string) => void;
  /** what and unit → its series */
  readonly #series = new Map<string, CostSeries & { readonly points: CostPoint[] }>();

  /** @param onPoint told of each point, in words */
  constructor(group: string, onPoint: (line: string) => void) {
    this.#group = group;
    this.#onPoint = onPoint;
  }

  add(size: string, what: string, unit: string, value: number, bound: CostBound = { is: 'told' }): void {
    const key = `${what} ${unit}`;
    let series = this.#series.get(key);
    if (!series) this.#series.set(key, (series = { group: this.#group, what, unit, bound, points: [] }));
    series.points.push({ size, value });
    this.#onPoint(`${this.#group}, ${size}: ${what} ${value.toFixed(value < 10 ? 2 : 0)} ${unit}`);
  }

  get series(): CostSeries[] {
    return [...this.#series.values()];
  }
}

/** The dearest point as a multiple of the first; undefined when there is nothing to compare. */
export function growthOf({ points }: CostSeries): number | undefined {
  const [first, ...others] = points.map(({ value }) => value);
  if (first === undefined || first <= 0 || others.length === 0) return undefined;
  return Math.max(...others) / first;
}

/** Whether the promise is kept; undefined where there is none, or nothing to judge it by. */
export function isKept(series: CostSeries): boolean | undefined {
  const { bound, points } = series;
  if (bound.is === 'below') return points.every(({ value }) => value < bound.value);
  const growth = growthOf(series);
  return bound.is === 'flat' && growth !== undefined ? growth <= MAX_GROWTH : undefined;
}
