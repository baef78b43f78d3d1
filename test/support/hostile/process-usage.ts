/** What a process takes of memory and processor (proc(5)). */
import { readFileSync, writeFileSync } from 'node:fs';

const CLOCK_TICKS = 100;
/** Written to clear_refs: the peak of the resident set begins anew. */
const RESET_PEAK = '5';

function statusMib(pid: number, field: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find(each => each.startsWith(field));
  return Math.round(Number(line?.match(/\d+/)?.[0] ?? 0) / 1024);
}

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, which may have blanks, is the second field; user and system time are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

export interface Usage {
  readonly beforeMib: number;
  readonly peakMib: number;
  readonly cpuSeconds: number;
}

export class ProcessUsage {
  readonly #pid: number;
  readonly #beforeMib: number;
  readonly #cpuBefore: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#beforeMib = statusMib(pid, 'VmRSS:');
    this.#cpuBefore = cpuSeconds(pid);
    writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
  }

  /** Since it was made. */
  get usage(): Usage {
    return {
      beforeMib: this.#beforeMib,
      peakMib: statusMib(this.#pid, 'VmHWM:'),
      cpuSeconds: cpuSeconds(this.#pid) - this.#cpuBefore,
    };
  }
}
