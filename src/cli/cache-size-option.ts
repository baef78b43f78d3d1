import { parseCacheSize } from './quantity.js';

/** --cache-size, which bounds what a program keeps in memory; its value is bytes. */
export function cacheSizeOption(defaultBytes: number, describe: string) {
  return {
    type: 'string',
    requiresArg: true,
    default: `${defaultBytes / (1 << 20)}M`,
    coerce: parseCacheSize,
    describe,
  } as const;
}
