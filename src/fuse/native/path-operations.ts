/**
 * The operations of libfuse's high-level interface, which speaks paths, on a file system that speaks inodes. Every
 * path is resolved anew, in one round trip: nothing remembered here could be taken back when another client renames.
 */
import { constants } from 'node:fs';
import type { Logger } from '../../platform/log.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { PERMISSION_BITS, S_IFMT } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import { namesOf } from '../../vfs/path-walk.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { statFields, statfsFields } from './stat-fields.js';

/** Called with a negative errno or a result that is not negative. */
type Done = (status: number, ...results: unknown[]) => void;

const NUL = Buffer.alloc(1);
const UNCHANGED_ID = 0xffff_ffff;
/**
 * The kernel asks for it before each write, to take it away. By path that would cost a round trip a write, so files
 * mounted through this driver have none, and cannot be given any.
 */
const CAPABILITY = 'security.capability';
/** ACLs live here; without the kernel's help they would be kept but not obeyed. */
const SYSTEM_PREFIX = 'system.';

interface Place {
  readonly parent: number;
  readonly name: Buffer;
}

/** The operations by the names that fuse-native knows them by. */
export function pathOperations(fileSystem: FileSystem, log: Logger) {
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

  const inodeAt = async (path: string): Promise<number> => {
    const { inode } = await fileSystem.resolve(namesOf(Buffer.from(path)));
    return inode;
  };
  const placeAt = async (path: string): Promise<Place> => {
    const names = namesOf(Buffer.from(path));
    const name = names.pop();
    if (!name) throw new DfsError('EBUSY', 'the root of the file system stays where it is');
    const { inode } = await fileSystem.resolve(names);
    return { parent: inode, name };
  };
  /** Does `work` and tells how it ended; what is no DfsError is a mistake of ours and goes to the log. */
  const answer = async (done: Done, work: () => Promise<[number, ...unknown[]]>): Promise<void> => {
    let result: [number, ...unknown[]];
    try {
      result = await work();
    } catch (error) {
      if (!(error instanceof DfsError)) log.error({ err: error }, 'a file system operation failed');
      result = [-toDfsError(error).errno];
    }
    done(...result);
  };

  return {
    statfs: (_path: string, done: Done) =>
      answer(done, async () => [0, statfsFields(await fileSystem.statfs())]),
    getattr: (path: string, done: Done) =>
      answer(done, async () => [0, statFields(await fileSystem.resolve(namesOf(Buffer.from(path))))]),
    fgetattr: (_path: string, handle: number, done: Done) =>
      answer(done, async () => [0, statFields(await fileSystem.getattr(fileSystem.inodeOf(handle)))]),
    readdir: (path: string, done: Done) =>
      answer(done, async () => {
        const inode = await inodeAt(path);
        const names = ['.', '..'];
        const self = statFields(await fileSystem.getattr(inode));
        const stats = [self, self];
        for await (const entry of fileSystem.readdir(inode)) {
          const name = entry.name.toString('utf8');
          if (!Buffer.from(name).equals(entry.name)) {
            log.warn(
              { name: entry.name.toString('latin1'), path },
              'a name is not UTF-8; left out of the listing',
            );
            continue;
          }
          names.push(name);
          stats.push(statFields(entry.attributes));
        }
        fileSystem.accessed(inode);
        return [0, names, stats];
      }),
    readlink: (path: string, done: Done) =>
      answer(done, async () => {
        const inode = await inodeAt(path);
        const target = await fileSystem.readlink(inode);
        fileSystem.accessed(inode);
        return [0, target.toString('utf8')];
      }),
    mknod: (path: string, mode: number, rdev: number, done: Done) =>
      answer(done, async () => {
        const { parent, name } = await placeAt(path);
        const bits = mode & (S_IFMT | PERMISSION_BITS);
        await fileSystem.mknod(parent, name, { mode: bits, ...owner }, rdev);
        return [0];
      }),
    mkdir: (path: string, mode: number, done: Done) =>
      answer(done, async () => {
        const { parent, name } = await placeAt(path);
        await fileSystem.mkdir(parent, name, { mode: mode & PERMISSION_BITS, ...owner });
        return [0];
      }),
    symlink: (target: string, path: string, done: Done) =>
      answer(done, async () => {
        const { parent, name } = await placeAt(path);
        await fileSystem.symlink(parent, name, Buffer.from(target), owner);
        return [0];
      }),
    link: (from: string, path: string, done: Done) =>
      answer(done, async () => {
        const [inode, { parent, name }] = await Promise.all([inodeAt(from), placeAt(path)]);
        await fileSystem.link(inode, parent, name);
        return [0];
      }),
    unlink: (path: string, done: Done) =>
      answer(done, async () => {
        const { parent, name } = await placeAt(path);
        await fileSystem.unlink(parent, name);
        return [0];
      }),
    rmdir: (path: string, done: Done) =>
      answer(done, async () => {
        const { parent, name } = await placeAt(path);
        await fileSystem.rmdir(parent, name);
        return [0];
      }),
    rename: (from: string, to: string, done: Done) =>
      answer(done, async () => {
        const [source, target] = await Promise.all([placeAt(from), placeAt(to)]);
        await fileSystem.rename(source.parent, source.name, target.parent, target.name, 0);
        return [0];
      }),
    chmod: (path: string, mode: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.setattr(await inodeAt(path), { mode: mode & PERMISSION_BITS });
        return [0];
      }),
    chown: (path: string, uid: number, gid: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.setattr(await inodeAt(path), {
          ...(uid === UNCHANGED_ID ? {} : { uid }),
          ...(gid === UNCHANGED_ID ? {} : { gid }),
        });
        return [0];
      }),
    truncate: (path: string, size: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.setattr(await inodeAt(path), { size });
        return [0];
      }),
    ftruncate: (_path: string, handle: number, size: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.setattr(fileSystem.inodeOf(handle), { size });
        return [0];
      }),
    utimens: (path: string, atimeMs: number, mtimeMs: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.setattr(await inodeAt(path), { atime: timeOf(atimeMs), mtime: timeOf(mtimeMs) });
        return [0];
      }),
    open: (path: string, flags: number, done: Done) =>
      answer(done, async () => [0, await fileSystem.open(await inodeAt(path), flags)]),
    create: (path: string, mode: number, done: Done) =>
      answer(done, async () => {
        const { parent, name } = await placeAt(path);
        const creation = { mode: mode & PERMISSION_BITS, ...owner };
        try {
          const { handle } = await fileSystem.create(parent, name, creation, true, constants.O_RDWR);
          return [0, handle];
        } catch (error) {
          // Another client was faster, and libfuse does not tell whether O_EXCL was given. On ESTALE the kernel looks
          // the name up again and decides by itself: EEXIST for O_EXCL, else it opens the file (fs/namei.c).
          if (hasCode(error, 'EEXIST')) throw new DfsError('ESTALE', 'the file was created meanwhile');
          throw error;
        }
      }),
    read: (_path: string, handle: number, buffer: Buffer, length: number, offset: number, done: Done) =>
      answer(done, async () => [gather(await fileSystem.read(handle, offset, length), buffer)]),
    write: (_path: string, handle: number, buffer: Buffer, length: number, offset: number, done: Done) =>
      answer(done, async () => [await fileSystem.write(handle, offset, buffer.subarray(0, length))]),
    flush: (_path: string, handle: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.flush(handle);
        return [0];
      }),
    fsync: (_path: string, _isDataOnly: number, handle: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.fsync(handle);
        return [0];
      }),
    fsyncdir: (path: string, _isDataOnly: number, _handle: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.fsyncDirectory(await inodeAt(path));
        return [0];
      }),
    release: (_path: string, handle: number, done: Done) =>
      answer(done, async () => {
        await fileSystem.release(handle);
        return [0];
      }),
    setxattr: (path: string, name: string, value: Buffer, _position: number, flags: number, done: Done) =>
      answer(done, async () => {
        refuseUnsupported(name, 'EOPNOTSUPP');
        await fileSystem.setxattr(await inodeAt(path), Buffer.from(name), Buffer.from(value), flags);
        return [0];
      }),
    getxattr: (path: string, name: string, _position: number, done: Done) =>
      answer(done, async () => {
        refuseUnsupported(name, 'ENODATA');
        return [0, await fileSystem.getxattr(await inodeAt(path), Buffer.from(name))];
      }),
    listxattr: (path: string, done: Done) =>
      answer(done, async () => {
        const names = await fileSystem.listxattr(await inodeAt(path));
        const known = names.filter(name => !name.toString('latin1').startsWith(SYSTEM_PREFIX));
        return [0, Buffer.concat(known.flatMap(name => [name, NUL]))];
      }),
    removexattr: (path: string, name: string, done: Done) =>
      answer(done, async () => {
        refuseUnsupported(name, 'ENODATA');
        await fileSystem.removexattr(await inodeAt(path), Buffer.from(name));
        return [0];
      }),
  };
}

/** @param forCapability what is told of capabilities */
function refuseUnsupported(name: string, forCapability: 'ENODATA' | 'EOPNOTSUPP'): void {
  if (name === CAPABILITY) throw new DfsError(forCapability, 'fuse-native keeps no capabilities');
  if (name.startsWith(SYSTEM_PREFIX)) throw new DfsError('EOPNOTSUPP', 'fuse-native knows no ACLs');
}

function timeOf(ms: number): { sec: number; nsec: number } {
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1e6 };
}

/** Copies all pieces into the kernel's buffer; returns how many bytes there were. */
function gather(payload: Payload, target: Buffer): number {
  let at = 0;
  for (const piece of payload) at += piece.copy(target, at);
  return at;
}
