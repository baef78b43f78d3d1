/** `dfs mount --take-over`: another process goes on with what is mounted. */
import { resolve } from 'node:path';
import { kernelDriver } from '../../fuse/kernel/kernel-driver.js';
import { createLogger, type LogLevel } from '../../platform/log.js';
import { UsageError } from '../usage-error.js';
import { report, reportingFailure, runInBackground } from './background.js';
import { defaultLogPath } from './log-path.js';
import { runTakeOver } from './mount-process.js';

interface TakeOverParameters {
  readonly background: boolean;
  readonly logFile: string | undefined;
  readonly logLevel: LogLevel;
}

/**
 * Serves the mount until it ends, or has a process in the background do that.
 * @param server what was typed as such: UsageError, since the mount has one
 */
export async function takeOver(
  { background, logFile, logLevel }: TakeOverParameters,
  server: string | undefined,
  mountPoint: string,
): Promise<void> {
  if (server !== undefined)
    throw new UsageError('--take-over goes on with the server of the mount; name the mount point alone');
  if (background) {
    const logPath = resolve(logFile ?? defaultLogPath(mountPoint));
    const again = ['mount', mountPoint, '--take-over', `--log-level=${logLevel}`];
    const { pid } = await runInBackground(again, logPath);
    process.stdout.write(`process ${pid} serves ${mountPoint} from now on, log ${logPath}\n`);
    return;
  }
  await reportingFailure(async () => {
    const log = createLogger('mount', logLevel);
    const onReady = (): void => void report({ state: 'ready' });
    await runTakeOver({ mountPoint, driver: kernelDriver, log, onReady }, logLevel);
  });
}
