/** A subject: a file system with all its processes. */
import type { FindDaemons } from './daemons.js';

export const SUBJECT_NAMES = ['dfs1', 'dfs2', 'null', 'local', 'moosefs1', 'moosefs2', 'glusterfs'] as const;
export type SubjectName = (typeof SUBJECT_NAMES)[number];

export interface Subject {
  /** The directory in which it is measured. */
  readonly directory: string;
  /** Shell command that unmounts and mounts anew, so that nothing is cached; empty where nothing is mounted. */
  readonly remount: string;
  /** Names of the executables that its processes run, whose CPU time is accounted. */
  readonly executables: readonly string[];
  readonly findDaemons: FindDaemons;
  /** Why its fsync is no measure, in a clause; undefined where fsync returns when the bytes are on the disks. */
  readonly whyNoFsync?: string;
  /** Further mounts of the same cluster; undefined where there is only one. */
  readonly sharing?: Sharing;
  /** Starts and mounts everything. What has been started when it fails, `close` ends. */
  start(): Promise<void>;
  /** Unmounts, ends all processes and removes all files. May be called twice. */
  close(): Promise<void>;
}

/** A cluster that several clients mount. `close` of the subject takes their mounts away, too. */
export interface Sharing {
  /** Mounts it once more; returns the mount point. */
  addMount(): Promise<string>;
  /** The process ids of the metadata server. */
  metadataPids(): Promise<number[]>;
}

/** Where a subject may make what it needs. */
export interface Workplace {
  /** A local directory of its own, which is there and empty; it is removed by others. */
  readonly directory: string;
  /** Node under a name that is the subject's own. */
  readonly node: string;
}

/** A path as one word of a shell command. */
export function quoted(path: string): string {
  return `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

/** Subjects that several clients can mount. */
export const SHARED_SUBJECTS: readonly SubjectName[] = ['dfs1', 'dfs2', 'moosefs1', 'moosefs2'];

/** The shell command that unmounts if something is mounted: also after an attempt that came halfway. */
export function unmountCommand(mountPoint: string): string {
  return `{ ! mountpoint -q ${quoted(mountPoint)} || umount ${quoted(mountPoint)}; }`;
}
