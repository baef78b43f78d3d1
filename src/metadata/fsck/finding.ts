/** The findings of a check of the file system. */

export type FindingKind =
  /** The database itself is damaged; then nothing else is looked for. */
  | 'database'
  /** A count that is wrong by `delta`: names of an inode, extents of a chunk, bytes of a file's extents. */
  | 'links'
  | 'references'
  | 'allocated'
  /** An inode that no name leads to, and that nobody knows to be without one. */
  | 'unreachable'
  /** Without names, and not noted as such: it would never be collected. */
  | 'orphan'
  /** A name that leads nowhere, or stands in no directory. */
  | 'dangling'
  /** A further name of a directory, which has one only; and one whose `..` leads elsewhere. */
  | 'directory'
  | 'parent'
  /** An extent that overlaps another, lies beyond the end, or names no chunk that has these bytes. */
  | 'extent'
  /** A chunk that would never be collected, or would be although it is wanted. */
  | 'collection'
  /** Something that belongs to an inode that is not there. */
  | 'stray'
  /** A chunk of which no replica is left, or fewer than there should be, or one that was damaged. */
  | 'lost'
  | 'endangered'
  | 'damaged'
  /** A data node that did not say what it holds. */
  | 'unchecked';

export interface Finding {
  readonly kind: FindingKind;
  /** A path that shows where, as far as there is one; bytes as latin1. */
  readonly path: string;
  /** What is wrong, as a clause. */
  readonly what: string;
  readonly inode?: number;
  readonly chunk?: number;
  readonly parent?: number;
  readonly name?: Uint8Array;
  /** What is to be added to what is recorded. */
  readonly delta?: number;
}
