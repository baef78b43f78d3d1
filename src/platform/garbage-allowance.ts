/**
 * How much V8 lets gather before it looks through the whole heap for garbage. Left to itself it does so whenever the heap and
 * the buffers outside it have grown by about the size of what lives (v8/src/heap/memory-controller): with a heap of 12 MiB and
 * chunks of 4 MiB passing through, some ten times a second, which cost a data node a sixth of its processor time.
 */
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';

/** Of a large heap at least this part: to look through it costs more. */
const MIN_PART = 1 / 4;

/**
 * The growth allowed to a heap in which so many bytes live, in percent of them. (V8's own choice for a heap of 150 MiB is to let
 * more than twice as much gather, and what it took then it seldom gives back.)
 */
export function growthPercent(liveBytes: number, allowedBytes: number): number {
  const live = Math.max(liveBytes, 1 << 20);
  return Math.round((100 * Math.max(allowedBytes, live * MIN_PART)) / live);
}

/**
 * Whether a heap takes so much more memory than lives in it that its collections should move things together. V8 seldom does so by itself
 * (MarkCompactCollector::ComputeEvacuationHeuristics): where caches drop and take small entries all the time, every page stays
 * half empty. Measured, it took 190 MiB for 70 that lived.
 */
export function isSparse(liveBytes: number, takenBytes: number, allowedBytes: number): boolean {
  return takenBytes - liveBytes > Math.max(allowedBytes, liveBytes * MIN_PART);
}

/** For programs through which many bytes pass: allows so much garbage, from now until they end. */
export function allowGarbage(allowedBytes: number): void {
  adjust(allowedBytes);
  new PerformanceObserver(list => {
    // Only after these is it known how much lives.
    if (list.getEntries().some(isMajorCollection)) adjust(allowedBytes);
  }).observe({ entryTypes: ['gc'] });
}

/** V8 reads the flags at the beginning and at the end of each collection, so they may be set while the program runs. */
function adjust(allowedBytes: number): void {
  const { used_heap_size: liveBytes } = getHeapStatistics();
  setFlagsFromString(`--heap-growing-percent=${growthPercent(liveBytes, allowedBytes)}`);
  // The young generation is always there as a whole.
  const takenBytes = getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name !== 'new_space')
    .reduce((sum, { space_size: size }) => sum + size, 0);
  setFlagsFromString(
    isSparse(liveBytes, takenBytes, allowedBytes) ? '--optimize-for-size' : '--no-optimize-for-size',
  );
}

/** perf_hooks documents `detail` for garbage collections; its types know of it only in entries that programs make. */
function isMajorCollection(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail: { readonly kind: number } };
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
