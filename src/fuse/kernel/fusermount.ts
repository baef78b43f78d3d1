/**
 * Mounting without being root: fusermount3 of libfuse, which is setuid root, mounts, and hands the descriptor of
 * /dev/fuse over the socket whose number it finds in _FUSE_COMMFD (util/fusermount.c, mount_util.c of libfuse).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { privilegeOptions, sourceOption, type FuseMountOptions } from '../driver.js';

const PROGRAM = 'fusermount3';
const CONFIGURATION = '/etc/fuse.conf';
/** The socket as fusermount3 sees it: the first descriptor after the standard three. */
const CHILD_SOCKET = 3;

/** Whether there is a fusermount3 to run. */
export function hasFusermount(): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some(directory => {
    try {
      accessSync(join(directory, PROGRAM), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Mounts, and returns the descriptor of /dev/fuse that serves the mount; the caller closes it. ENOENT when there is no
 * fusermount3, EPERM with what it says when it refuses.
 */
export async function mountByFusermount(options: FuseMountOptions): Promise<number> {
  if (options.allowOther && !(await mayAllowOther())) {
    throw new DfsError(
      'EPERM',
      `--allow-other is for root unless ${CONFIGURATION} has a line user_allow_other; add the line, or leave the option out`,
    );
  }
  // Only here, since root needs no native library.
  const { openSocketPair, receiveDescriptor } = await import('../../platform/descriptor-passing.js');
  const sockets = openSocketPair();
  try {
    await runFusermount(mountParameters(options), sockets.theirs);
    // It has ended, so what it sent is there.
    const descriptor = receiveDescriptor(sockets.ours);
    if (descriptor === undefined) throw new DfsError('EIO', `${PROGRAM} handed over no descriptor`);
    return descriptor;
  } finally {
    sockets.close();
  }
}

function mountParameters(given: FuseMountOptions): string[] {
  const { source, allowOther, mountPoint, atime, readOnly, allowPrograms } = given;
  const options = [
    readOnly === true ? 'ro' : 'rw',
    ...privilegeOptions({ allowSuid: false, allowDevices: false, allowPrograms }),
    sourceOption(source),
    'subtype=dfs',
    'default_permissions',
    atime,
    ...(allowOther ? ['allow_other'] : []),
  ];
  return ['-o', options.join(','), '--', mountPoint];
}

async function runFusermount(parameters: readonly string[], socket: number): Promise<void> {
  const child = spawn(PROGRAM, parameters, {
    stdio: ['ignore', 'ignore', 'pipe', socket],
    env: { ...process.env, _FUSE_COMMFD: String(CHILD_SOCKET) },
  });
  const said: Buffer[] = [];
  child.stderr?.on('data', (data: Buffer) => said.push(data));
  let code: unknown;
  try {
    [code] = await once(child, 'close');
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw toDfsError(error).within(`cannot run ${PROGRAM}`);
    throw new DfsError(
      'ENOENT',
      `there is no ${PROGRAM}, by which users other than root mount; install the package fuse3`,
    );
  }
  if (code === 0) return;
  if (!(await mayOpenDevice())) {
    throw new DfsError(
      'EACCES',
      'you may not open /dev/fuse; as root, let everybody do so, as is usual: chmod 666 /dev/fuse',
    );
  }
  const reason = Buffer.concat(said).toString().trim();
  throw new DfsError('EPERM', reason === '' ? `${PROGRAM} failed` : `cannot mount: ${reason}`);
}

/** fusermount3 opens it as the user that called it. */
async function mayOpenDevice(): Promise<boolean> {
  return await access('/dev/fuse', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}

async function mayAllowOther(): Promise<boolean> {
  try {
    const lines = (await readFile(CONFIGURATION, 'utf8')).split('\n');
    return lines.some(line => line.trim() === 'user_allow_other');
  } catch {
    // fusermount3 takes a file that it cannot read for an empty one.
    return false;
  }
}
