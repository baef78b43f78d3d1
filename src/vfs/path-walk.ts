/** Walks paths for those who have no kernel to do it: commands, and the path-based FUSE driver. */
import type { MetadataSession } from '../client/session/metadata-session.js';
import type { RequestOf } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import { isDirectory, isSymlink } from '../protocol/file-mode.js';
import { getattr, readlink, resolve } from '../protocol/namespace-commands.js';
import type { Attributes, Caller } from '../protocol/types.js';

/** Symbolic links followed before a path is taken for a loop (Linux MAXSYMLINKS). */
const MAX_SYMLINKS = 40;
const SLASH = 0x2f;
const PARENT = Buffer.from('..');

/** The names between the slashes of a path; empty ones and `.` left out. */
export function namesOf(path: Uint8Array): Buffer[] {
  const bytes = Buffer.from(path.buffer, path.byteOffset, path.byteLength);
  const names: Buffer[] = [];
  for (let at = 0; at <= bytes.length;) {
    const slash = bytes.indexOf(SLASH, at);
    const end = slash < 0 ? bytes.length : slash;
    const name = bytes.subarray(at, end);
    if (name.length > 0 && !name.equals(Buffer.from('.'))) names.push(name);
    at = end + 1;
  }
  return names;
}

export interface Walk {
  /** The inode where it starts. */
  readonly from: number;
  /** Through symbolic links, the last name's too. */
  readonly isFollowing: boolean;
  readonly caller?: Caller;
}

/**
 * As FileSystem.resolve.
 *
 * The names before a symbolic link are real directories, since the metadata server stops at the first link; so `..`
 * may be taken off them without asking anybody.
 */
export async function walk(
  session: MetadataSession,
  names: readonly Uint8Array[],
  { from, isFollowing, caller }: Walk,
): Promise<Attributes> {
  let real: Uint8Array[] = [];
  let left = [...names];
  for (let links = 0; ;) {
    const upwards = left.findIndex(name => PARENT.equals(name));
    const segment = upwards < 0 ? left : left.slice(0, upwards);
    const path = [...real, ...segment];
    const { attributes, walked } = await resolveNames(session, {
      start: from,
      names: path,
      ...(caller ? { caller } : {}),
    });
    const isEnd = upwards < 0 && walked === path.length;
    if (isSymlink(attributes.mode) && !(isEnd && !isFollowing)) {
      if (!isFollowing) throw new DfsError('ENOTDIR', 'a name in the middle of the path is a symbolic link');
      links += 1;
      if (links > MAX_SYMLINKS) throw new DfsError('ELOOP', 'too many symbolic links');
      const { target } = await session.ask(readlink, { inode: attributes.inode });
      real = target[0] === SLASH ? [] : path.slice(0, walked - 1);
      left = [...namesOf(target), ...path.slice(walked), ...left.slice(segment.length)];
    } else if (isEnd) {
      return attributes;
    } else {
      if (!isDirectory(attributes.mode)) throw new DfsError('ENOTDIR', 'a name before `..` is no directory');
      real = path.slice(0, -1);
      left = left.slice(upwards + 1);
    }
  }
}

async function resolveNames(
  session: MetadataSession,
  request: RequestOf<typeof resolve>,
): Promise<{ attributes: Attributes; walked: number }> {
  if (request.names.length > 0) return await session.ask(resolve, request);
  const { attributes } = await session.ask(getattr, { inode: request.start });
  return { attributes, walked: 0 };
}
