/**
 * Runs services on this machine without an init system: starts what does not run, waits until it is ready, tells how it is,
 * and stops it. Services are known by their records in a run directory (service-record.ts); the caller holds a lock on it
 * while services start and stop.
 */
import { sleep, systemClock } from '../../platform/clock.js';
import { launch } from './launch.js';
import { isHidden, isRunning, signalProcess } from './process-identity.js';
import type { ServiceDefinition } from './service-definition.js';
import { LogFollower, parseLogLine } from './service-log.js';
import {
  readRecord,
  removeRecord,
  runningRecord,
  writeRecord,
  type ServiceRecord,
} from './service-record.js';

const POLL_MS = 20;
/** For a process that was sent SIGKILL. */
const KILL_MS = 10_000;
const DEFAULT_START_MS = 60_000;

export interface StartOptions {
  /** How long a service may take to be ready, in milliseconds. */
  readonly startMs?: number;
  /** The services' environment; default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * What became of a service that was to run: `ran` already, or was `started`. `slow`: it runs, but is not ready in time, and is
 * left to itself. `ended`: it did not start; `record` has its place in the log.
 */
export interface StartOutcome {
  readonly name: string;
  readonly state: 'ran' | 'started' | 'slow' | 'ended';
  readonly record: ServiceRecord;
}

/** Starts the services that do not run, all at once, and waits until each is ready. Outcomes are in the services' order. */
export async function startServices(
  definitions: readonly ServiceDefinition[],
  runDirectory: string,
  { startMs = DEFAULT_START_MS, env = process.env }: StartOptions = {},
): Promise<StartOutcome[]> {
  return await Promise.all(
    definitions.map(async definition => {
      const running = runningRecord(runDirectory, definition.name);
      if (running?.address !== undefined)
        return { name: definition.name, state: 'ran', record: running } as const;
      const record = running ?? (await launch(definition, runDirectory, env));
      const { state, record: last } = await awaitReady(definition, runDirectory, record, startMs);
      return { name: definition.name, state: state === 'started' && running ? 'ran' : state, record: last };
    }),
  );
}

async function awaitReady(
  { name, logFile, readyAddress }: ServiceDefinition,
  runDirectory: string,
  record: ServiceRecord,
  startMs: number,
): Promise<Pick<StartOutcome, 'record'> & { readonly state: 'started' | 'slow' | 'ended' }> {
  const log = new LogFollower(logFile, record.logMark);
  const deadlineMs = systemClock.monotonicMs() + startMs;
  let address: string | undefined;
  for (;;) {
    // In this order: what it said before it ended is in its log by then.
    const hasEnded = !isRunning(record);
    for (const line of log.readLines()) {
      const entry = parseLogLine(line);
      address ??= entry && readyAddress(entry);
    }
    if (hasEnded) return { state: 'ended', record };
    if (address !== undefined) {
      const ready = { ...record, address };
      writeRecord(runDirectory, name, ready);
      return { state: 'started', record: ready };
    }
    if (systemClock.monotonicMs() > deadlineMs) return { state: 'slow', record };
    await sleep(systemClock, POLL_MS);
  }
}

/**
 * How a service is: `ready`, `starting`, not there (`down`), or perhaps there but `hidden` from this user. The record is that
 * of the last start, whether or not that process runs; undefined when there is none.
 */
export interface ServiceStatus {
  readonly name: string;
  readonly state: 'ready' | 'starting' | 'down' | 'hidden';
  readonly record: ServiceRecord | undefined;
}

/** How services are, in the order of `names`. */
export function servicesStatus(names: readonly string[], runDirectory: string): ServiceStatus[] {
  return names.map(name => {
    const record = readRecord(runDirectory, name);
    if (record && isRunning(record))
      return { name, state: record.address === undefined ? 'starting' : 'ready', record };
    return { name, state: record && isHidden(record) ? 'hidden' : 'down', record };
  });
}

export interface StopOptions {
  /** How long a service may take to end after SIGTERM before it is killed, in milliseconds. */
  readonly stopMs: number;
  /** Takes a sentence for each service that has to be killed. */
  readonly warn: (sentence: string) => void;
}

export interface StopOutcome {
  readonly name: string;
  /** Whether it ran until now. */
  readonly hasRun: boolean;
  /** It did not end when it was asked to. */
  readonly wasKilled: boolean;
}

/** Stops services, all at once, and waits until they have ended. Outcomes are in the order of `names`. */
export async function stopServices(
  names: readonly string[],
  runDirectory: string,
  options: StopOptions,
): Promise<StopOutcome[]> {
  return await Promise.all(
    names.map(async name => {
      const record = runningRecord(runDirectory, name);
      const wasKilled = record ? !(await stop(name, record, options)) : false;
      removeRecord(runDirectory, name);
      return { name, hasRun: record !== undefined, wasKilled };
    }),
  );
}

/** Whether it ended by itself. */
async function stop(name: string, record: ServiceRecord, { stopMs, warn }: StopOptions): Promise<boolean> {
  signalProcess(record, 'SIGTERM');
  if (await hasEndedWithin(record, stopMs)) return true;
  warn(`${name}, process ${record.pid}, has not ended within ${stopMs / 1000} seconds; killing it`);
  signalProcess(record, 'SIGKILL');
  if (!(await hasEndedWithin(record, KILL_MS))) warn(`process ${record.pid} cannot be killed`);
  return false;
}

/** Waits until a service has ended, at most `ms`; false when the time is over. */
export async function hasEndedWithin(record: ServiceRecord, ms: number): Promise<boolean> {
  return await holdsWithin(() => !isRunning(record), ms);
}

/** Waits until a condition holds, at most `ms`; false when the time is over. */
export async function holdsWithin(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  const deadlineMs = systemClock.monotonicMs() + ms;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > deadlineMs) return false;
    await sleep(systemClock, POLL_MS);
  }
  return true;
}
