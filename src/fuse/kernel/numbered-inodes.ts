/**
 * Inodes that the kernel knows by number alone, from a file handle (name_to_handle_at(2), NFS), and has forgotten, or has not
 * seen since the mount was made. It looks `.` up in such a number, and `..` to find a directory's place again
 * (fuse_get_dentry, fuse_get_parent). Paths never bring these names: the kernel walks them itself.
 *
 * The number is enough. It is given once and never again, also after `dfs recover` (metadata/id-allocator.ts), so all inodes
 * have one generation, which the kernel compares.
 */
import { DfsError, hasCode } from '../../protocol/errors.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileSystem } from '../../vfs/file-system.js';

const DOT = 0x2e;

/** Whether a name is `.` or `..`. */
export function isDotName(name: Uint8Array): boolean {
  return name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
}

/**
 * What `.` or `..` of an inode is. ESTALE for an inode that has no name any more, or never was.
 * @param fileSystem as root has it: open_by_handle_at(2) passes no directories whose permissions would count
 */
export async function lookupByNumber(
  fileSystem: FileSystem,
  inode: number,
  name: Uint8Array,
): Promise<Attributes> {
  if (!Number.isSafeInteger(inode)) throw stale();
  try {
    const attributes =
      name.length === 1 ? await fileSystem.getattr(inode) : await fileSystem.lookup(inode, name);
    if (attributes.nlink > 0) return attributes;
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
  throw stale();
}

function stale(): DfsError {
  return new DfsError('ESTALE', 'the handle is of a file that is not there any more');
}
