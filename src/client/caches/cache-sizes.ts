/**
 * How the memory that a client may use for what it keeps is divided. Each cache counts its entries in bytes of this
 * process (cache-budget.ts), so the shares are bytes, too.
 */

export interface CacheSizes {
  /** Content of chunks. */
  readonly dataBytes: number;
  /** Attributes of inodes. */
  readonly attributeBytes: number;
  /** Which inodes have extended attributes. */
  readonly xattrBytes: number;
  /** Targets of symbolic links. */
  readonly targetBytes: number;
  /** Names of directories. */
  readonly nameBytes: number;
  /** Extents of files, and where their chunks are. */
  readonly extentBytes: number;
  /** What a driver notes of the inodes that its kernel knows. */
  readonly nodeBytes: number;
  /** All of these together: no sum of what the caches hold is larger. */
  readonly totalBytes: number;
}

/**
 * What the caches hold lives in V8's heap for the most part, where garbage lies between. So a third of the memory that was
 * allowed is left for that (cli/mount/mount-process.ts).
 */
const USED_PART = 13 / 20;
/**
 * Parts of a hundred. What is known of an inode's extended attributes costs two elevenths of both. Half is for data: a tree
 * of some 30 MB that was just written is copied from memory (`cp -r` of 4,000 files: 2.0 s, 2.6 s when it is read again).
 */
const PARTS = { data: 51, attributes: 14, xattrs: 3, targets: 1, names: 12, extents: 10, nodes: 9 };

export function divideCache(bytes: number): CacheSizes {
  const part = (bytes * USED_PART) / 100;
  const sizes = {
    dataBytes: Math.floor(PARTS.data * part),
    attributeBytes: Math.floor(PARTS.attributes * part),
    xattrBytes: Math.floor(PARTS.xattrs * part),
    targetBytes: Math.floor(PARTS.targets * part),
    nameBytes: Math.floor(PARTS.names * part),
    extentBytes: Math.floor(PARTS.extents * part),
    nodeBytes: Math.floor(PARTS.nodes * part),
  };
  return { ...sizes, totalBytes: Object.values(sizes).reduce((sum, share) => sum + share, 0) };
}
