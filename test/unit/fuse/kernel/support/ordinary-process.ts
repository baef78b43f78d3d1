/** A process of an ordinary user, for requests that name it: what else it may, the driver reads in /proc. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import { OTHER_USER } from '../../../../support/other-user.js';
import type { Requester } from './fake-device.js';

/** For the option `skip` of a test that needs such a process. */
export const WHY_NO_ORDINARY_PROCESS = process.getuid?.() === 0 ? false : 'only root can be another user';

/** Runs, and does nothing, until the test is over. @param groups supplementary groups */
export async function ordinaryProcess(t: Test, groups: readonly number[] = []): Promise<Required<Requester>> {
  const who = [`--reuid=${OTHER_USER}`, `--regid=${OTHER_USER}`];
  const whose = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`;
  const child = spawn('setpriv', [...who, whose, 'sh', '-c', 'echo; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    const exited = once(child, 'exit');
    child.stdin.end();
    await exited;
  });
  // It says so when it is who it is to be.
  await once(child.stdout, 'data');
  return { uid: OTHER_USER, gid: OTHER_USER, pid: child.pid ?? 0 };
}
