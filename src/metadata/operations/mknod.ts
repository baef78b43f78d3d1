/** mknod(2), and open(2) with O_CREAT for one who wants no grants. */
import { DfsError } from '../../protocol/errors.js';
import {
  isRegularFile,
  PERMISSION_BITS,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from '../../protocol/file-mode.js';
import { mknod as command } from '../../protocol/namespace-commands.js';
import { checkReserved } from '../namespace/creation.js';
import { checkRoot } from '../namespace/permissions.js';
import { isWhiteout } from '../namespace/whiteout.js';
import { operation } from '../operation.js';
import { markOpen, openOrCreate } from './open-or-create.js';

const TYPES: ReadonlySet<number> = new Set([S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK]);

export const mknod = operation(
  command,
  async (tx, request, context) => {
    // mknod(2): "Zero file type is equivalent to type S_IFREG."
    const type = request.mode & S_IFMT || S_IFREG;
    // mknod(2): EINVAL, "mode requested creation of something other than a regular file, device special file, FIFO or
    // socket".
    if (!TYPES.has(type)) {
      throw new DfsError(
        'EINVAL',
        'mknod makes regular files, fifos, sockets and devices; use mkdir or symlink',
      );
    }
    const isDevice = type === S_IFCHR || type === S_IFBLK;
    // mknod(2): EPERM, "the process is not privileged (Linux: does not have the CAP_MKNOD capability)".
    if (isDevice && !isWhiteout(type, request.rdev)) checkRoot(request.caller, 'make devices');
    await checkReserved(tx, request.number, context);
    return await openOrCreate(
      tx,
      {
        parent: request.parent,
        name: request.name,
        caller: request.caller,
        exclusive: request.exclusive || !isRegularFile(type),
        created: {
          mode: type | (request.mode & PERMISSION_BITS),
          umask: request.umask,
          uid: request.uid,
          gid: request.gid,
          // mknod(2): "otherwise it is ignored".
          rdev: isDevice ? request.rdev : 0,
          size: 0,
          goal: request.goal,
          number: request.number,
        },
        session: request.open ? request.once.session : undefined,
      },
      context,
    );
  },
  (request, reply, context) => {
    if (request.open) markOpen(request.once.session, reply.attributes.inode, context);
  },
);
