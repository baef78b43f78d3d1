/** Runs a command as a process of its own that lives on, once it has said that it is ready. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { beginSession } from '../../platform/new-session.js';
import { DfsError, isErrnoName, toDfsError } from '../../protocol/errors.js';
import { onEndSignal } from '../interruption.js';
import { programPath } from '../program-path.js';
import { openLogFile } from '../services/log-file.js';

/** What the process in the background tells the one that started it. */
type Report =
  | { readonly state: 'ready'; readonly note?: string }
  | { readonly state: 'failed'; code: string; message: string };

/** Tells the process that waits in `runInBackground`, if there is one. */
export async function report(message: Report): Promise<void> {
  if (!process.send) return;
  if (message.state === 'ready') beginSession();
  await new Promise<void>(resolve => {
    // That nobody listens any more is fine: who started this process may have ended.
    process.send?.(message, undefined, {}, () => resolve());
  });
  if (process.connected) process.disconnect();
}

/** Tells the process that waits for this one, if there is one, when `work` fails. */
export async function reportingFailure(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { code, message } = toDfsError(error);
    await report({ state: 'failed', code, message });
    throw error;
  }
}

/**
 * Starts this program again with other arguments, detached, with its output going to `logPath`, and waits until it
 * reports. Returns its process id, and what its user should know; rejects with what it says went wrong.
 */
export async function runInBackground(
  parameters: readonly string[],
  logPath: string,
): Promise<{ readonly pid: number; readonly note: string | undefined }> {
  const log = await openLogFile(logPath);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...process.execArgv, programPath('dfs'), ...parameters], {
      // It leaves the process group when it has mounted, and not before: when systemd waits for the mount because a program looked at
      // its place (systemd.automount(5)), the kernel lets nobody but this group see the place.
      detached: false,
      stdio: ['ignore', log, log, 'ipc'],
    });
  } finally {
    closeSync(log);
  }
  const stop = (): void => void child.kill('SIGTERM');
  const stopListening = onEndSignal(stop);
  try {
    const told = await new Promise<Report>((resolve, reject) => {
      child.once('error', reject);
      child.once('message', message => resolve(parseReport(message, logPath)));
      child.once('exit', (code, signal) => {
        const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
        reject(new DfsError('EIO', `the process in the background ${how}; its log is ${logPath}`));
      });
    });
    if (told.state === 'failed') {
      throw new DfsError(isErrnoName(told.code) ? told.code : 'EIO', told.message);
    }
    if (child.pid === undefined) throw new DfsError('EIO', 'the process in the background has no id');
    return { pid: child.pid, note: told.note };
  } finally {
    stopListening();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

function parseReport(message: unknown, logPath: string): Report {
  if (typeof message === 'object' && message !== null && 'state' in message) {
    if (message.state === 'ready')
      return 'note' in message ? { state: 'ready', note: String(message.note) } : { state: 'ready' };
    if (message.state === 'failed' && 'code' in message && 'message' in message) {
      return { state: 'failed', code: String(message.code), message: String(message.message) };
    }
  }
  return { state: 'failed', code: 'EPROTO', message: `unclear what became of it; its log is ${logPath}` };
}
