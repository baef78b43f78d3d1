/**
 * How the memory that a client may use for what it keeps is divided. What an entry costs was measured with Node 20 on
 * objects as the wire's decoder makes them, and rounded up.
 */

/** One inode's attributes, and whether it has extended ones. */
const ATTRIBUTES_BYTES = 600;
/** One name of a directory that is known, in its map and in its sorted list. */
const NAME_BYTES = 128;
/** One extent, and where its chunk is. */
const EXTENT_BYTES = 256;

export interface CacheSizes {
  /** Bytes of chunks. */
  readonly dataBytes: number;
  /** Inodes whose attributes are kept. */
  readonly attributes: number;
  /** Names in all directories together. */
  readonly names: number;
  /** Extents of all files together. */
  readonly extents: number;
}

/** Two fifths for data, a fifth for each of the rest. */
export function divideCache(bytes: number): CacheSizes {
  const share = bytes / 5;
  return {
    dataBytes: Math.floor(2 * share),
    attributes: Math.ceil(share / ATTRIBUTES_BYTES),
    names: Math.ceil(share / NAME_BYTES),
    extents: Math.ceil(share / EXTENT_BYTES),
  };
}
