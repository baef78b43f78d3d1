import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';

/** koffi, which calls functions of C libraries. Loaded when it is needed: that takes time, and most commands call none. */
export function loadKoffi(): typeof Koffi {
  return createRequire(import.meta.url)('koffi') as typeof Koffi;
}
