/** Which process a process id means: ids are used again, so a process is its id, its start time, and the boot of the machine. */
import { readFileSync } from 'node:fs';
import { hasCode } from '../../protocol/errors.js';

export interface ProcessIdentity {
  readonly pid: number;
  /** Ticks since the boot, as proc_pid_stat(5) has them; digits. */
  readonly started: string;
  /** The kernel's id of the boot. */
  readonly boot: string;
}

/** Fields of proc_pid_stat(5) behind the name, which may hold anything: the state is field 3, the start time field 22. */
const STATE_INDEX = 0;
const STARTED_INDEX = 19;

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** The start time of a process that runs; undefined for one that has ended, or that the system hides from this user. */
function startOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[STATE_INDEX];
  // A zombie has ended; it only waits for its parent.
  return state === 'Z' || state === 'X' ? undefined : fields[STARTED_INDEX];
}

/** The process that has this id now; undefined for none. */
export function identify(pid: number): ProcessIdentity | undefined {
  const started = startOf(pid);
  return started === undefined ? undefined : { pid, started, boot: bootId() };
}

/** Whether this very process runs. */
export function isRunning({ pid, started, boot }: ProcessIdentity): boolean {
  return startOf(pid) === started && bootId() === boot;
}

/** Whether there is a process with this id, of which the system tells this user nothing (proc(5), hidepid). */
export function isHidden({ pid, boot }: ProcessIdentity): boolean {
  if (boot !== bootId() || startOf(pid) !== undefined) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

/** Sends a signal to this very process; one that has ended is fine. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}
