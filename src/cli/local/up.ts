/** `dfs local up`: starts what does not run of a cluster on this machine, and mounts it. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DfsError } from '../../protocol/errors.js';
import { createClusterDatabase } from '../create-cluster-database.js';
import { FailureTold } from '../failure-told.js';
import { programPath } from '../program-path.js';
import type { ServiceDefinition } from '../services/service-definition.js';
import { readableTail } from '../services/service-log.js';
import { readRecord, runningRecord } from '../services/service-record.js';
import {
  hasEndedWithin,
  holdsWithin,
  startServices,
  type StartOptions,
  type StartOutcome,
} from '../services/services.js';
import { writeOut } from '../standard-output.js';
import { MOUNT_STOP_MS } from './down.js';
import { requireFuseDevice } from './fuse-device.js';
import { makeHome, requireHome, withHomeLock } from './home.js';
import {
  dataDirectory,
  logFileOf,
  METADATA,
  metadataService,
  MOUNT,
  mountService,
  nodeNames,
  nodeService,
  portOf,
  serviceNames,
} from './layout.js';
import { chooseMountPoint, clearMountPoint, isMounted } from './mount-place.js';
import { somebodyListens } from './port-probe.js';
import {
  countNodes,
  heldNodePort,
  heldSettings,
  holdNodePort,
  holdSettings,
  localPaths,
  readWishes,
  settle,
  type LocalPaths,
  type Wishes,
} from './settings.js';
import { calls, serviceEnvironment, warn } from './words.js';

const START_MS = 60_000;
const TAIL_LINES = 15;

/** What is to run. */
interface Plan {
  readonly paths: LocalPaths;
  readonly port: number;
  readonly goal: number;
  readonly nodes: readonly string[];
  /** As the kernel's mount table has it. */
  readonly mountPoint: string;
  readonly options: StartOptions;
}

/**
 * Brings the cluster up, and says where its things are. UsageError; EACCES, EBUSY; FailureTold when a process does not start:
 * what has started stays, for the next try.
 * @param wanted the mount point; default: where it was mounted last, else /mnt/dfs
 */
export async function up(wanted: string | undefined): Promise<void> {
  const paths = localPaths();
  const wishes = readWishes();
  await requireHome(paths, 'change');
  await requireFuseDevice();
  await makeHome(paths);
  await withHomeLock(paths, async () => await start(await makePlan(paths, wishes, wanted)));
}

async function makePlan(paths: LocalPaths, wishes: Wishes, wanted: string | undefined): Promise<Plan> {
  const record = readRecord(paths.run, MOUNT);
  const running = runningRecord(paths.run, MOUNT);
  const mountPoint = await chooseMountPoint(wanted, record);
  if (running && running.directory !== mountPoint)
    throw new DfsError(
      'EBUSY',
      `this cluster is mounted at ${running.directory} already; mount it once more with: ` +
        `${programPath('dfs')} mount ${running.address ?? ''} ${mountPoint} --background`,
    );
  const count = countNodes(paths, wishes);
  const held = heldSettings(paths);
  const { port, goal } = settle(wishes, held);
  if (
    held.port !== undefined &&
    held.port !== port &&
    serviceNames(count).some(name => runningRecord(paths.run, name))
  )
    throw new DfsError(
      'EBUSY',
      `this cluster runs with port ${held.port}, and DFS_PORT says ${port}; stop it first: ${calls().down}`,
    );
  if (held.goal !== undefined && held.goal !== goal && running)
    warn(`the mount was started with DFS_GOAL=${held.goal}; ${goal} will hold when it is started again`);
  holdSettings(paths, { port, goal, nodes: count });
  // Before anything is started that would be of no use.
  if (!running) await clearMountPoint(mountPoint, record?.directory);
  const options = { startMs: START_MS, env: serviceEnvironment(paths.home, paths.key) };
  return { paths, port, goal, nodes: nodeNames(count), mountPoint, options };
}

async function start(plan: Plan): Promise<void> {
  const outcomes = [...(await startMetadata(plan)), ...(await startNodes(plan)), ...(await startMount(plan))];
  await tellStarted(plan, outcomes);
}

async function startMetadata({ paths, port, nodes, options }: Plan): Promise<StartOutcome[]> {
  if (!runningRecord(paths.run, METADATA) && !existsSync(paths.database)) {
    const orphan = nodes.map(node => dataDirectory(paths, node)).find(directory => existsSync(directory));
    if (orphan !== undefined)
      throw new DfsError(
        'ENOENT',
        `${orphan} has the data of a cluster whose metadata database, ${paths.database}, is gone; put it back, or move ${paths.home} away to begin anew`,
      );
    await createClusterDatabase(paths.database, undefined);
  }
  const outcomes = await startServices([metadataService(paths, port)], paths.run, options);
  requireStarted(paths, outcomes);
  return outcomes;
}

async function startNodes(plan: Plan): Promise<StartOutcome[]> {
  const { paths, nodes } = plan;
  const isNew = (node: string): boolean => !existsSync(dataDirectory(paths, node));
  const known = nodes.filter(node => !isNew(node));
  const outcomes = await startAll(plan, known, node => heldNodePort(paths, node) ?? 0);
  // The old port of a node may be somebody else's by now.
  const displaced = await namesWithTakenPorts(paths, outcomes);
  const again = await startAll(plan, displaced, () => 0);
  const added: StartOutcome[] = [];
  // The metadata server numbers nodes as they come; the numbers are to be those in the names.
  for (const node of nodes.filter(isNew)) added.push(...(await startAll(plan, [node], () => 0)));
  const last = new Map([...outcomes, ...again, ...added].map(outcome => [outcome.name, outcome]));
  const all = nodes.flatMap(node => last.get(node) ?? []);
  requireStarted(paths, all);
  return all;
}

async function startAll(
  { paths, port: metadataPort, options }: Plan,
  names: readonly string[],
  portFor: (name: string) => number,
): Promise<StartOutcome[]> {
  const definitions: ServiceDefinition[] = names.map(name =>
    nodeService(paths, name, { port: portFor(name), metadataPort }),
  );
  const outcomes = await startServices(definitions, paths.run, options);
  for (const { name, record } of outcomes)
    if (record.address !== undefined) holdNodePort(paths, name, portOf(record.address));
  return outcomes;
}

async function namesWithTakenPorts(paths: LocalPaths, outcomes: readonly StartOutcome[]): Promise<string[]> {
  const names: string[] = [];
  for (const { name, state } of outcomes) {
    const port = heldNodePort(paths, name);
    if (state === 'ended' && port !== undefined && (await somebodyListens(port))) names.push(name);
  }
  return names;
}

async function startMount({ paths, port, goal, mountPoint, options }: Plan): Promise<StartOutcome[]> {
  const running = runningRecord(paths.run, MOUNT);
  if (running?.address !== undefined && !(await isMounted(mountPoint))) {
    // Somebody has unmounted it, and it is just flushing.
    await writeOut('Waiting for the mount that was unmounted to store what was written\n');
    if (!(await hasEndedWithin(running, MOUNT_STOP_MS)))
      throw new DfsError(
        'EBUSY',
        `process ${running.pid}, which had ${mountPoint} mounted, does not end; its log is ${logFileOf(paths, MOUNT)}`,
      );
  }
  if (!runningRecord(paths.run, MOUNT))
    await clearMountPoint(mountPoint, readRecord(paths.run, MOUNT)?.directory);
  const outcomes = await startServices([mountService(paths, mountPoint, { port, goal })], paths.run, options);
  requireStarted(paths, outcomes);
  const isSettled = async (): Promise<boolean> =>
    (await isMounted(mountPoint)) || runningRecord(paths.run, MOUNT) === undefined;
  await holdsWithin(isSettled, START_MS);
  if (!(await isMounted(mountPoint)))
    tellFailures(paths, outcomes, () => 'said that it is ready, but nothing is mounted');
  return outcomes;
}

/** FailureTold when one of them did not start, with the end of its log. */
function requireStarted(paths: LocalPaths, outcomes: readonly StartOutcome[]): void {
  const failed = outcomes.filter(({ state }) => state === 'ended' || state === 'slow');
  if (failed.length === 0) return;
  tellFailures(paths, failed, ({ state }) =>
    state === 'ended'
      ? 'did not start'
      : `is not ready after ${START_MS / 1000} seconds; it is left to itself, run ${calls().up} again to wait longer`,
  );
}

function tellFailures(
  paths: LocalPaths,
  outcomes: readonly StartOutcome[],
  failure: (outcome: StartOutcome) => string,
): never {
  for (const outcome of outcomes) {
    const logFile = logFileOf(paths, outcome.name);
    warn(`${outcome.name} ${failure(outcome)}. The end of ${logFile}:`);
    const lines = readableTail(logFile, outcome.record.logMark, TAIL_LINES);
    process.stderr.write(lines.map(line => `  ${line}\n`).join(''));
  }
  throw new FailureTold();
}

async function tellStarted(plan: Plan, outcomes: readonly StartOutcome[]): Promise<void> {
  const { paths, mountPoint } = plan;
  const { up: upCall, down: downCall, status: statusCall } = calls();
  const started = outcomes.filter(({ state }) => state === 'started').map(({ name }) => name);
  const lines = [started.length === 0 ? 'Everything runs already' : `Started ${started.join(' ')}`];
  if (outcomes.some(({ name, state }) => state === 'ran' && isOlderThanBuild(paths, name)))
    lines.push(
      `What ran already still runs the build from before; for the new one: ${downCall} && ${upCall}`,
    );
  lines.push(
    `DFS is mounted at ${mountPoint}`,
    `  state   ${paths.home}`,
    `  logs    ${paths.log}`,
    `  key     ${paths.key}`,
    `  look    ${statusCall}`,
    `  stop    ${downCall}`,
  );
  await writeOut(`${lines.join('\n')}\n`);
}

/** Whether the programs were built after the service was ready, when its record was written. */
function isOlderThanBuild({ run }: LocalPaths, name: string): boolean {
  const record = statSync(join(run, `${name}.process`), { throwIfNoEntry: false });
  const build = statSync(programPath('../build/bundle/bin/main.js'), { throwIfNoEntry: false });
  return record !== undefined && build !== undefined && record.mtimeMs < build.mtimeMs;
}
