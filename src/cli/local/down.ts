/** `dfs local down`: flushes, unmounts and stops what was started; what it holds stays. */
import { existsSync } from 'node:fs';
import { DfsError } from '../../protocol/errors.js';
import { FailureTold } from '../failure-told.js';
import { ERROR_LEVEL, logLength, readableTail } from '../services/service-log.js';
import { readRecord, runningRecord } from '../services/service-record.js';
import { stopServices, type StopOutcome } from '../services/services.js';
import { writeOut } from '../standard-output.js';
import { requireHome, withHomeLock } from './home.js';
import { logFileOf, METADATA, MOUNT, nodeNames } from './layout.js';
import { chooseMountPoint, takeDeadMountsAway } from './mount-place.js';
import { countNodes, forgetSettings, localPaths, readWishes, type LocalPaths } from './settings.js';
import { calls, warn } from './words.js';

/** A mount waits for servers that are away: a minute while it is unmounted, another while it stores what was written. */
export const MOUNT_STOP_MS = 150_000;
const SERVER_STOP_MS = 30_000;
const TOLD_LINES = 1000;

/**
 * Stops the cluster. FailureTold when something had to be killed or said that it failed; EBUSY when it is mounted elsewhere
 * than at `wanted`, and then nothing is stopped.
 */
export async function down(wanted: string | undefined): Promise<void> {
  const paths = localPaths();
  const wishes = readWishes();
  await requireHome(paths, 'change');
  if (!existsSync(paths.run)) {
    await writeOut(`Nothing runs: there is no cluster in ${paths.home}\n`);
    return;
  }
  await withHomeLock(paths, async () => await stopAll(paths, nodeNames(countNodes(paths, wishes)), wanted));
}

async function stopAll(
  paths: LocalPaths,
  nodes: readonly string[],
  wanted: string | undefined,
): Promise<void> {
  const record = readRecord(paths.run, MOUNT);
  const mountPoint = await chooseMountPoint(wanted, record);
  const isUp = runningRecord(paths.run, MOUNT) !== undefined;
  if (isUp && record && record.directory !== mountPoint)
    throw new DfsError(
      'EBUSY',
      `this cluster is mounted at ${record.directory}, not at ${mountPoint}; nothing was stopped`,
    );
  if (isUp) warnOfAbsent(paths, [METADATA, ...nodes]);
  const before = logLength(logFileOf(paths, MOUNT));
  const outcomes: StopOutcome[] = await stopServices([MOUNT], paths.run, { stopMs: MOUNT_STOP_MS, warn });
  // A daemon that was killed leaves its mount.
  for (const path of new Set([mountPoint, ...(record ? [record.directory] : [])]))
    await takeDeadMountsAway(path);
  const said = isUp ? readableTail(logFileOf(paths, MOUNT), before, TOLD_LINES, ERROR_LEVEL) : [];
  if (said.length > 0) {
    warn('the mount said while it ended:');
    process.stderr.write(said.map(line => `  ${line}\n`).join(''));
  }
  // Data nodes tell the metadata server that they go.
  for (const names of [nodes, [METADATA]])
    outcomes.push(...(await stopServices(names, paths.run, { stopMs: SERVER_STOP_MS, warn })));
  forgetSettings(paths);
  const stopped = outcomes.filter(({ hasRun }) => hasRun).map(({ name }) => name);
  await writeOut(
    stopped.length === 0
      ? `Nothing of ${paths.home} runs\n`
      : `Stopped ${stopped.join(' ')}; what they hold stays for the next start\n`,
  );
  if (said.length > 0 || outcomes.some(({ wasKilled }) => wasKilled)) throw new FailureTold();
}

function warnOfAbsent({ run }: LocalPaths, servers: readonly string[]): void {
  for (const name of servers) {
    if (runningRecord(run, name)) continue;
    warn(
      `${name} does not run; what was written last may have to wait for it, or be lost (${calls().up} starts it again)`,
    );
  }
}
