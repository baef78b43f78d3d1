/**
 * How much V8 lets gather before it looks through the whole heap for garbage. Left to itself it does so whenever the heap and
 * the buffers outside it have grown by about the size of what lives (v8/src/heap/memory-controller): with a heap of 12 MiB and
 * chunks of 4 MiB passing through, some ten times a second, which cost a data node a sixth of its processor time.
 */
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/**
 * The growth allowed to a heap in which so many bytes live, in percent of them. 0, V8's own choice, for a large one: it is not
 * looked through often.
 */
export function growthPercent(liveBytes: number, allowedBytes: number): number {
  return liveBytes < allowedBytes ? Math.round((100 * allowedBytes) / Math.max(liveBytes, 1 << 20)) : 0;
}

/** For programs through which many bytes pass: allows so much garbage, from now until they end. */
export function allowGarbage(allowedBytes: number): void {
  allowGrowth(allowedBytes);
  new PerformanceObserver(list => {
    // Only after these is it known how much lives.
    if (list.getEntries().some(isMajorCollection)) allowGrowth(allowedBytes);
  }).observe({ entryTypes: ['gc'] });
}

/** V8 reads the flag at the end of each collection, so it may be set while the program runs. */
function allowGrowth(allowedBytes: number): void {
  const percent = growthPercent(getHeapStatistics().used_heap_size, allowedBytes);
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}

/** perf_hooks documents `detail` for garbage collections; its types know of it only in entries that programs make. */
function isMajorCollection(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail: { readonly kind: number } };
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
