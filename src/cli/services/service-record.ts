/**
 * What is remembered of a service that was started: one file in the run directory, `NAME.process`, of three lines.
 *
 *     pid, start time, boot id, length of the log when it was started
 *     its address; `-` until it is ready
 *     the directory that it works on
 *
 * Nothing is ever stopped but what such a file names. `mount.sh` wrote the same files before there was `dfs local`.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode } from '../../protocol/errors.js';
import { isRunning, type ProcessIdentity } from './process-identity.js';

const NOT_READY = '-';
const FIRST_LINE = /^(\d+) (\S+) (\S+) (\d+)$/;
/** Zero stands for this process's group in kill(2). */
const NO_PID = 0;

export interface ServiceRecord extends ProcessIdentity {
  /** Bytes of the log from before the service was started. */
  readonly logMark: number;
  /** Where it is reached; undefined until it is ready. */
  readonly address: string | undefined;
  readonly directory: string;
}

function pathOf(runDirectory: string, name: string): string {
  return join(runDirectory, `${name}.process`);
}

/** The record of a service; undefined when there is none, or none that makes sense. EACCES. */
export function readRecord(runDirectory: string, name: string): ServiceRecord | undefined {
  let text: string;
  try {
    text = readFileSync(pathOf(runDirectory, name), 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  const [first = '', address, directory] = text.split('\n');
  const [, pid, started, boot, logMark] = FIRST_LINE.exec(first) ?? [];
  if (started === undefined || boot === undefined || address === undefined || directory === undefined)
    return undefined;
  if (Number(pid) === NO_PID) return undefined;
  return {
    pid: Number(pid),
    started,
    boot,
    logMark: Number(logMark),
    address: address === NOT_READY ? undefined : address,
    directory,
  };
}

/** Writes the record as a whole. */
export function writeRecord(runDirectory: string, name: string, record: ServiceRecord): void {
  const { pid, started, boot, logMark, address = NOT_READY, directory } = record;
  const path = pathOf(runDirectory, name);
  writeFileSync(`${path}.new`, `${pid} ${started} ${boot} ${logMark}\n${address}\n${directory}\n`);
  renameSync(`${path}.new`, path);
}

/** No record is fine. */
export function removeRecord(runDirectory: string, name: string): void {
  rmSync(pathOf(runDirectory, name), { force: true });
}

/** The record of a service that runs; undefined when it does not. */
export function runningRecord(runDirectory: string, name: string): ServiceRecord | undefined {
  const record = readRecord(runDirectory, name);
  return record && isRunning(record) ? record : undefined;
}
