/**
 * The servers of a machine as processes that DFS starts itself (services/services.ts), where systemd does not: `dfs local up` starts
 * them all, for whatever runs when the machine starts.
 */
import { join } from 'node:path';
import { DfsError } from '../../protocol/errors.js';
import { FailureTold } from '../failure-told.js';
import { makeHome, requireHome, withHomeLock, type HomePaths } from '../local/home.js';
import { formatStatus } from '../local/status.js';
import { programPath } from '../program-path.js';
import type { ServiceDefinition } from '../services/service-definition.js';
import { readableTail, type LogEntry } from '../services/service-log.js';
import { servicesStatus, startServices, stopServices, type StartOutcome } from '../services/services.js';
import { writeOut } from '../standard-output.js';
import { configuredServices, readConfig } from './config-files.js';
import { configPath, type MachineLayout } from './machine-layout.js';
import { serviceAccount } from './service-account.js';
import type { MachineServices } from './service-control.js';
import { METADATA, type ServiceName } from './service-name.js';

/** A data node reads its index before it serves, and waits for the metadata server. */
const START_MS = 60_000;
const PATIENCE_SECONDS = 2_000_000;
const STOP_MS = 90_000;
/** When the machine has just started, the metadata server's may not have. Servers that wait for it are left to do so. */
const AT_BOOT_MS = 8000;
/** Of the machine's own servers. The first is empty after each start of the machine. */
const SYSTEM_RUN = '/run/dfs';
const SYSTEM_LOG = '/var/log/dfs';

/** The servers of this layout, one at a time. */
export function localServices(layout: MachineLayout): MachineServices {
  return {
    kind: 'local',
    hint: name => `less ${logFileOf(layout, name)}`,
    async enable(name) {
      await changing(layout, async () => await startOne(layout, name));
    },
    async disable(name) {
      await changing(layout, async () => await stop(layout, [name]));
    },
    async restart(name) {
      await changing(layout, async () => {
        await stop(layout, [name]);
        await startOne(layout, name);
      });
    },
  };
}

/** Starts those that do not run, the metadata server first. EIO when one does not start. */
export async function startConfigured(layout: MachineLayout): Promise<void> {
  await changing(layout, async () => {
    const outcomes: StartOutcome[] = [];
    for (const names of await inOrder(layout)) outcomes.push(...(await start(layout, names, AT_BOOT_MS)));
    const started = outcomes.filter(({ state }) => state !== 'ran').map(({ name }) => name);
    await writeOut(started.length === 0 ? 'Everything runs already\n' : `Started ${started.join(' ')}\n`);
    for (const { name, state } of outcomes)
      if (state === 'slow')
        await writeOut(`${name} does not serve yet; its log is ${logFileOf(layout, name)}\n`);
  });
}

/** Stops those that run, the metadata server last. */
export async function stopConfigured(layout: MachineLayout): Promise<void> {
  await changing(layout, async () => {
    const stopped: string[] = [];
    for (const names of (await inOrder(layout)).toReversed()) stopped.push(...(await stop(layout, names)));
    await writeOut(stopped.length === 0 ? 'Nothing runs\n' : `Stopped ${stopped.join(' ')}\n`);
  });
}

/** Prints a line for each; FailureTold when one does not run. */
export async function tellConfigured(layout: MachineLayout): Promise<void> {
  const { run } = placesOf(layout);
  await requireHome(placesOf(layout), 'read');
  let isWhole = true;
  for (const status of servicesStatus((await inOrder(layout)).flat(), run)) {
    const { datapath = join(layout.state, METADATA) } = await readConfig(layout, status.name as ServiceName);
    isWhole &&= status.state === 'ready';
    await writeOut(`${formatStatus(status, String(datapath))}\n`);
  }
  if (!isWhole) throw new FailureTold();
}

/** Data nodes after the metadata server: they register with it. */
async function inOrder(layout: MachineLayout): Promise<ServiceName[][]> {
  const names = await configuredServices(layout);
  return [names.filter(name => name === METADATA), names.filter(name => name !== METADATA)];
}

async function changing(layout: MachineLayout, work: () => Promise<unknown>): Promise<void> {
  const places = placesOf(layout);
  await requireHome(places, 'change');
  await makeHome(places);
  await withHomeLock(places, work);
}

function placesOf({ user, state }: MachineLayout): HomePaths {
  return user === undefined
    ? { home: state, run: join(state, 'run'), log: join(state, 'log') }
    : { home: state, run: SYSTEM_RUN, log: SYSTEM_LOG };
}

function logFileOf(layout: MachineLayout, name: string): string {
  return join(placesOf(layout).log, `${name}.log`);
}

/** EIO when it does not serve in time. */
async function startOne(layout: MachineLayout, name: ServiceName): Promise<void> {
  for (const outcome of await start(layout, [name], START_MS))
    if (outcome.state === 'slow') throw notStarted(layout, outcome);
}

/** EIO when one ends rather than start. */
async function start(
  layout: MachineLayout,
  names: readonly ServiceName[],
  startMs: number,
): Promise<StartOutcome[]> {
  const definitions = await Promise.all(names.map(async name => await definitionOf(layout, name)));
  const env = { ...process.env, DFS_HOME: layout.state };
  const outcomes = await startServices(definitions, placesOf(layout).run, { startMs, env });
  for (const outcome of outcomes) if (outcome.state === 'ended') throw notStarted(layout, outcome);
  return outcomes;
}

function notStarted(layout: MachineLayout, { name, state, record }: StartOutcome): DfsError {
  const logFile = logFileOf(layout, name);
  const [last = ''] = readableTail(logFile, record.logMark, 1);
  const how = state === 'ended' ? 'did not start' : `is not ready after ${START_MS / 1000} seconds`;
  return new DfsError(
    'EIO',
    `the server ${name} ${how}${last === '' ? '' : ` (${last})`}; its log is ${logFile}`,
  );
}

/** The names of those that ran. */
async function stop(layout: MachineLayout, names: readonly ServiceName[]): Promise<string[]> {
  const warn = (sentence: string): void => void process.stderr.write(`dfs: ${sentence}\n`);
  const outcomes = await stopServices(names, placesOf(layout).run, { stopMs: STOP_MS, warn });
  return outcomes.filter(({ hasRun }) => hasRun).map(({ name }) => name);
}

async function definitionOf(layout: MachineLayout, name: ServiceName): Promise<ServiceDefinition> {
  const { datapath } = await readConfig(layout, name);
  const command = name === METADATA ? 'meta-data' : 'data-node';
  const patience = name === METADATA ? [] : [`--patience=${PATIENCE_SECONDS}`];
  const program = [programPath('dfs'), command, '--config', configPath(layout, name), ...patience] as const;
  return {
    name,
    argv: layout.user === undefined ? program : [...(await runningAs(layout.user, layout.state)), ...program],
    logFile: logFileOf(layout, name),
    directory: datapath === undefined ? join(layout.state, METADATA) : String(datapath),
    readyAddress: addressIn,
  };
}

async function runningAs(user: string, home: string): Promise<readonly [string, ...string[]]> {
  const { uid, gid } = await serviceAccount(user, home);
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'];
}

/** Where a server serves, of the line of its log that says so. */
function addressIn(entry: LogEntry): string | undefined {
  if (entry['msg'] !== 'ready') return undefined;
  const { endpoint = entry } = entry as { endpoint?: unknown };
  if (typeof endpoint !== 'object' || endpoint === null || !('host' in endpoint && 'port' in endpoint))
    return undefined;
  return `${String(endpoint.host)}:${String(endpoint.port)}`;
}
