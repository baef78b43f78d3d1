/**
 * The amount of garbage that V8 lets gather before it searches the whole heap. By default it does so whenever the
 * heap and the buffers outside it have grown by about the size of the living objects (v8/src/heap/memory-controller):
 * with a heap of 12 MiB and chunks of 4 MiB passing through, some ten times a second, which cost a data node a sixth
 * of its processor time.
 */
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';

/** What may gather, in bytes: `most` in a small heap, and the less the more lives there, but never less than `least`. */
export interface GarbageBounds {
  readonly most: number;
  readonly least: number;
}

/** Of a large heap at least this part: to look through it costs more. */
const MIN_PART = 1 / 4;

/** How much may gather in a heap in which so many bytes live. */
export function garbageBytes(liveBytes: number, { most, least }: GarbageBounds): number {
  return Math.max(least, Math.min(most, 2 * most - liveBytes), liveBytes * MIN_PART);
}

/**
 * The same as the growth allowed to the heap, in percent of what lives. (V8's own choice for a heap of 150 MiB is to let more than
 * twice as much gather, and what it took then it seldom gives back.)
 */
export function growthPercent(liveBytes: number, bounds: GarbageBounds): number {
  return Math.round((100 * garbageBytes(liveBytes, bounds)) / Math.max(liveBytes, 1 << 20));
}

/**
 * Whether a heap takes so much more memory than lives in it that its collections should move things together. V8 seldom does so by itself
 * (MarkCompactCollector::ComputeEvacuationHeuristics): where caches drop and take small entries all the time, every page stays
 * half empty. Measured, it took 190 MiB for 70 that lived.
 */
export function isSparse(liveBytes: number, takenBytes: number, bounds: GarbageBounds): boolean {
  return takenBytes - liveBytes > garbageBytes(liveBytes, bounds);
}

/** For programs through which many bytes pass: allows so much garbage, from now until they end. */
export function allowGarbage(bounds: GarbageBounds): void {
  adjust(bounds);
  new PerformanceObserver(list => {
    // Only after these is it known how much lives.
    if (list.getEntries().some(isMajorCollection)) adjust(bounds);
  }).observe({ entryTypes: ['gc'] });
}

/** V8 reads the flags at the beginning and at the end of each collection, so they may be set while the program runs. */
function adjust(bounds: GarbageBounds): void {
  const { used_heap_size: liveBytes } = getHeapStatistics();
  setFlagsFromString(`--heap-growing-percent=${growthPercent(liveBytes, bounds)}`);
  // The young generation is always there as a whole.
  const takenBytes = getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name !== 'new_space')
    .reduce((sum, { space_size: size }) => sum + size, 0);
  setFlagsFromString(
    isSparse(liveBytes, takenBytes, bounds) ? '--optimize-for-size' : '--no-optimize-for-size',
  );
}

/** perf_hooks documents `detail` for garbage collections; its types know of it only in entries that programs make. */
function isMajorCollection(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail: { readonly kind: number } };
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
