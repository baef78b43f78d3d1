/** What the kernel knows of whoever made a request, beyond the uid and gid that the request names. */
import { readFile } from 'node:fs/promises';
import { hasCode } from '../../protocol/errors.js';

export interface Credentials {
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** It has a capability by which the kernel lets it do what its uid and groups do not (capabilities(7)). */
  readonly isCapable: boolean;
}

/** Bits of CapEff by which somebody passes a file system's permission checks (<linux/capability.h>). */
const CAP_CHOWN = 1n << 0n;
const CAP_DAC_OVERRIDE = 1n << 1n;
const CAP_DAC_READ_SEARCH = 1n << 2n;
const CAP_FOWNER = 1n << 3n;
const CAP_FSETID = 1n << 4n;
const CAP_SYS_ADMIN = 1n << 21n;
const CAP_MKNOD = 1n << 27n;
const CAP_SETFCAP = 1n << 31n;
const PASSING =
  CAP_CHOWN |
  CAP_DAC_OVERRIDE |
  CAP_DAC_READ_SEARCH |
  CAP_FOWNER |
  CAP_FSETID |
  CAP_SYS_ADMIN |
  CAP_MKNOD |
  CAP_SETFCAP;

/** Undefined when the process is gone, or is not to be seen from here (another pid namespace). */
export async function credentialsOf(pid: number): Promise<Credentials | undefined> {
  try {
    return parseCredentials(await readFile(`/proc/${pid}/status`, 'latin1'));
  } catch (error) {
    // ESRCH: it ended while it was read.
    if (hasCode(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}

/** The lines `Groups:` and `CapEff:` of /proc/PID/status (proc_pid_status(5)). */
export function parseCredentials(status: string): Credentials {
  const groups = /^Groups:(.*)$/m.exec(status)?.[1] ?? '';
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return {
    groups: groups.split(/\s+/).filter(Boolean).map(Number),
    isCapable: (BigInt(`0x${capabilities}`) & PASSING) !== 0n,
  };
}
