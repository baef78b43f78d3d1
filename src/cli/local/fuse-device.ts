/** What a mount needs of the system before anything is started for it. */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { DfsError, hasCode } from '../../protocol/errors.js';

const DEVICE = '/dev/fuse';
/** Not in everybody's PATH. */
const MODPROBE = '/sbin/modprobe';

/** ENODEV where the kernel has no FUSE, EACCES where this user may not open it. Loads the module if it may. */
export async function requireFuseDevice(): Promise<void> {
  if (!existsSync(DEVICE)) await promisify(execFile)(MODPROBE, ['fuse']).catch(() => undefined);
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (hasCode(error, 'ENOENT'))
      throw new DfsError(
        'ENODEV',
        `there is no ${DEVICE}; load the module (modprobe fuse, as root), or give the container --device ${DEVICE} --cap-add SYS_ADMIN`,
      );
    throw new DfsError(
      'EACCES',
      `you may not open ${DEVICE}; as root, let everybody do so, as is usual: chmod 666 ${DEVICE}`,
    );
  }
}
