/**
 * What takes a mount away whose daemon was killed, which would otherwise answer ENOTCONN until somebody unmounts it: a
 * shell, since it is small, at the other end of a pipe that closes with the daemon. It serves root, who need not have
 * fusermount3 and its auto_unmount, and everybody else alike.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import { escapeMountPoint, type MountEntry } from '../mount-table.js';

/**
 * A line means that it is not needed any more. The end of the pipe without one means that the daemon is dead: it
 * detaches what is topmost at the path if that is still the daemon's mount, by its id and device
 * (proc_pid_mountinfo(5)). It takes the table as a whole: a shell's `read` may seek back after each line, and finds
 * other bytes there when somebody mounts meanwhile. The arguments are the command that detaches. The values come in the
 * environment, so that no path is read as shell, and so that nobody who looks for the daemon by its command line finds
 * this process.
 */
export const GUARD_SCRIPT = `
trap '' HUP INT TERM
read -r _word && exit
top=
while read -r id _parent device _root point _rest; do
  [ "$point" != "$GUARDED_POINT" ] || top="$id $device"
done <<TABLE
$(cat /proc/self/mountinfo)
TABLE
[ "$top" != "$GUARDED_ID" ] || exec "$@" "$GUARDED_PATH"
`;

export class MountGuard {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /**
   * Watches over `mounted` until this process ends or `end` is called. A guard that cannot be started is logged, and is
   * no reason not to mount.
   */
  static start(mounted: MountEntry, log: Logger): MountGuard {
    const command = process.getuid?.() === 0 ? ['umount', '-i', '-l', '--'] : ['fusermount3', '-uz', '--'];
    const child = spawn('sh', ['-c', GUARD_SCRIPT, 'dfs-guard', ...command], {
      cwd: '/',
      // A Ctrl-C, or a kill of the daemon's process group, is not for the guard.
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
      env: {
        ...process.env,
        GUARDED_PATH: mounted.mountPoint,
        GUARDED_POINT: escapeMountPoint(mounted.mountPoint),
        GUARDED_ID: `${mounted.id} 0:${mounted.deviceMinor}`,
      },
    });
    const warn = (error: unknown): void => {
      log.warn({ reason: toDfsError(error).message }, 'nobody unmounts should this process be killed');
    };
    child.once('error', warn);
    child.stdin?.on('error', warn);
    // The guard waits for this process, not the other way round.
    child.unref();
    if (child.stdin instanceof Socket) child.stdin.unref();
    return new MountGuard(child);
  }

  /** The mount is gone, so that the guard can go too. May be called twice. */
  end(): void {
    const { stdin } = this.#child;
    if (stdin?.writable === true) stdin.end('unmounted\n');
  }
}
