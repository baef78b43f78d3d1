/** Starts a process that outlives this one and its terminal, so that it never runs without a record of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { makeDirectories } from '../../platform/make-directories.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { identify } from './process-identity.js';
import type { ServiceDefinition } from './service-definition.js';
import { logLength } from './service-log.js';
import { writeRecord, type ServiceRecord } from './service-record.js';

const LOG_MODE = 0o600;
const LOG_DIRECTORY_MODE = 0o700;
const GO_DESCRIPTOR = 3;

/**
 * What a shell does in the place of the process until its record is written: it waits for a line. Should the one that
 * started it have ended before, there is no line, and the process ends too.
 */
export const LAUNCH_SCRIPT = `read -r go <&${GO_DESCRIPTOR} && [ "$go" = go ] && exec "$@" ${GO_DESCRIPTOR}<&-`;

/**
 * Starts a service, with its output at the end of its log, and writes its record.
 * @param env its environment
 */
export async function launch(
  { name, argv, logFile, directory }: ServiceDefinition,
  runDirectory: string,
  env: NodeJS.ProcessEnv,
): Promise<ServiceRecord> {
  const log = await openLog(logFile);
  const logMark = logLength(logFile);
  let child;
  try {
    child = spawn('sh', ['-c', LAUNCH_SCRIPT, name, ...argv], {
      cwd: '/',
      env,
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
    });
  } finally {
    closeSync(log);
  }
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw toDfsError(error).within(`cannot start ${name}`);
  }
  const go = child.stdio[GO_DESCRIPTOR];
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (!identity || !(go instanceof Writable))
    throw new DfsError('EIO', `${name} could not be started; see ${logFile}`);
  const record = { ...identity, logMark, address: undefined, directory };
  writeRecord(runDirectory, name, record);
  // The process may have been killed just now; whether it runs is asked of the system.
  go.on('error', () => undefined);
  go.end('go\n');
  child.unref();
  return record;
}

async function openLog(path: string): Promise<number> {
  try {
    await makeDirectories(dirname(path), LOG_DIRECTORY_MODE);
    return openSync(path, 'a', LOG_MODE);
  } catch (error) {
    throw toDfsError(error).within(`cannot write the log ${path}`);
  }
}
