/** The processes of a subject: found by what only they have, so that those of others are never touched or counted. */
import { link, copyFile, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { hasCode } from '../../src/protocol/errors.js';
import { waitUntil } from '../support/wait-until.js';

/** Process ids. */
export type FindDaemons = () => Promise<number[]>;

const DELETED = ' (deleted)';
const KILL_MS = 10_000;

/**
 * Node under a name of its own, in `directory`: whoever runs it is told from every other Node process. Returns its path.
 */
export async function ownNode(directory: string, name: string): Promise<string> {
  const [original, path] = [await realpath(process.execPath), join(directory, name)];
  await link(original, path).catch(async () => await copyFile(original, path));
  return path;
}

/** Those that run this executable. */
export function runningExecutable(path: string): FindDaemons {
  return async () => await processesWith('exe', path);
}

/** Those in this network namespace (ip-netns(8)). */
export function inNetworkNamespace(path: string): FindDaemons {
  return async () => {
    const { ino } = await stat(path);
    return await processesWith('ns/net', `net:[${ino}]`);
  };
}

async function processesWith(linkName: string, wanted: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(pid => pid > 0);
  const found = await Promise.all(
    pids.map(async pid => {
      // Kernel threads have none, and processes end.
      const target = await readlink(`/proc/${pid}/${linkName}`).catch(() => '');
      return target === wanted || target === wanted + DELETED;
    }),
  );
  return pids.filter((_, index) => found[index]);
}

/** Those of the processes that run a program of this name (the first word of their command line). */
export async function runningProgram(pids: readonly number[], name: string): Promise<number[]> {
  const found = await Promise.all(
    pids.map(async pid => {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return basename(command.split('\0')[0] ?? '') === name;
    }),
  );
  return pids.filter((_, index) => found[index]);
}

/** A process and all that descend from it. */
export async function descendantsOf(pid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(each => each > 0);
  const parents = await Promise.all(pids.map(parentOf));
  const family = [pid];
  // The list grows while it is walked.
  for (const member of family) family.push(...pids.filter((_, index) => parents[index] === member));
  return family;
}

/** Undefined for a process that has ended. */
async function parentOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const parent = /^PPid:\s+(\d+)/m.exec(status)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** SIGTERM to all; SIGKILL for those that have not ended in time. Returns when none is left. */
export async function endDaemons(find: FindDaemons, graceMs: number): Promise<void> {
  const areGone = async (): Promise<boolean> => (await find()).length === 0;
  signalAll(await find(), 'SIGTERM');
  try {
    await waitUntil(areGone, { deadlineMs: graceMs, what: 'the servers have ended' });
  } catch {
    signalAll(await find(), 'SIGKILL');
    await waitUntil(areGone, { deadlineMs: KILL_MS, what: 'killed servers are gone' });
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!hasCode(error, 'ESRCH')) throw error;
    }
  }
}

/** MiB of memory that a process has, shared with others or not; 0 when it has ended. */
export async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}
