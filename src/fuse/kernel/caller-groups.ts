/** The groups of whoever made a request, beyond the one that the request names. */
import { readFile } from 'node:fs/promises';

/** None when the process is gone, or is not to be seen from here (another pid namespace). */
export async function supplementaryGroups(pid: number): Promise<readonly number[]> {
  try {
    return parseGroups(await readFile(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return [];
  }
}

/** The line `Groups:` of /proc/PID/status (proc_pid_status(5)). */
export function parseGroups(status: string): readonly number[] {
  const line = /^Groups:(.*)$/m.exec(status)?.[1] ?? '';
  return line.split(/\s+/).filter(Boolean).map(Number);
}
