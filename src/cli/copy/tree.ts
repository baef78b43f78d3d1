/**
 * Source or target of a copy: this machine's files or those in a DFS. With one interface for both, a copy is
 * written once for both directions.
 */
import type { Timespec } from '../../platform/clock.js';
import type { Payload } from '../../protocol/frame.js';

/** What copies leave alone, with the words for it. */
const SPECIAL_FILES = { fifo: 'a FIFO', socket: 'a socket', device: 'a device' } as const;
type SpecialKind = keyof typeof SPECIAL_FILES;

/** What a special file is, in words; undefined for files, directories and symbolic links. */
export function specialFile(kind: Entry['kind']): string | undefined {
  return kind in SPECIAL_FILES ? SPECIAL_FILES[kind as SpecialKind] : undefined;
}

export interface Entry {
  readonly kind: 'file' | 'directory' | 'symlink' | SpecialKind;
  /** Permission bits with setuid, setgid and sticky. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** It has holes, so that long runs of zeros are better left out than written. */
  readonly isSparse: boolean;
  readonly atime: Timespec;
  readonly mtime: Timespec;
}

/** Something in a directory. */
export interface Child<Place> {
  readonly name: Buffer;
  readonly place: Place;
  readonly entry: Entry;
}

/** Bytes in order. */
export interface Reader {
  /** The next bytes, undefined at the end. They may be overwritten by the next call. */
  read(): Promise<Payload | undefined>;
  close(): Promise<void>;
}

/** A new file that takes bytes in order. */
export interface Writer {
  /** Writes pieces that follow each other. The bytes may be used again by the caller when it returns. */
  write(pieces: Payload): Promise<void>;
  /** Leaves out `bytes` zeros. */
  skip(bytes: number): void;
  /** Everything written is there for others; `isDurable`: and on stable storage. */
  finish(isDurable: boolean): Promise<void>;
  /** Gives up. Never rejects; what was written is still to be removed. */
  abandon(): Promise<void>;
}

/** Held until it is released, or its process ends. */
export interface Lock {
  release(): Promise<void>;
}

/** Which of an entry's attributes a copy has. */
export interface Kept {
  readonly permissions: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly times?: { readonly atime: Timespec; readonly mtime: Timespec };
}

/** A copy that has no name yet, or a hidden one (staging.ts). */
export interface Staging<Place> {
  /** Where the copy is to be made. */
  readonly place: Place;
  /** Gives it its name; EEXIST for one that is taken, unless `isReplacing`. */
  publish(isReplacing: boolean): Promise<void>;
  /** Removes it. */
  discard(): Promise<void>;
}

/** @template Place how this tree names a place where something is or could be */
export interface Tree<Place> {
  /** For people. */
  describe(place: Place): string;
  /** What is there, undefined for nothing; `isFollowing`: what a symbolic link there leads to. */
  stat(place: Place, isFollowing: boolean): Promise<Entry | undefined>;
  /** A directory's entries, in any order. */
  children(place: Place): AsyncIterable<Child<Place>>;
  /** EINVAL for anything but a file, without waiting for a FIFO's writer. */
  openReader(place: Place): Promise<Reader>;
  readSymlink(place: Place): Promise<Buffer>;

  /** The place of a name in the directory that is at `directory`. */
  child(directory: Place, name: Buffer): Place;
  /** A place beside, in the same directory. */
  sibling(place: Place, name: Buffer): Place;
  /** The directory that has the place's name. */
  parent(place: Place): Place;
  /** Names in the same directory that begin with a dot; none where they cannot be listed. */
  hiddenNamesBeside(place: Place): AsyncIterable<Buffer>;
  /** Makes a lock file and locks it; undefined when another process was quicker. */
  makeLock(place: Place): Promise<Lock | undefined>;
  /** Locks a lock file of the same user; undefined when somebody has it, or it is gone. */
  takeLock(place: Place): Promise<Lock | undefined>;
  /** Begins a file without a name, which goes with this process unless it is published. */
  readonly stageUnnamed?: (final: Place) => Staging<Place>;
  nameOf(place: Place): Buffer;
  /** EEXIST when there is something. @param permissions what the file has in the end; meanwhile it may have fewer */
  createWriter(place: Place, permissions: number): Promise<Writer>;
  makeDirectory(place: Place, permissions: number): Promise<void>;
  makeSymlink(place: Place, target: Buffer): Promise<void>;
  /** Gives a copy, made with the same permissions, the attributes that it keeps; links have no permissions. */
  setAttributes(place: Place, kind: Entry['kind'], kept: Kept): Promise<void>;
  /** Gives what is at `from` the name `to` in the same directory: EEXIST for one that is taken, unless `isReplacing`. */
  rename(from: Place, to: Place, isReplacing: boolean): Promise<void>;
  /** Removes what is there with everything below; nothing there is no error. */
  remove(place: Place): Promise<void>;
}
