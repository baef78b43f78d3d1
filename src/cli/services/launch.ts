/** Starts a process that outlives this one and its terminal, so that it never runs without a record of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { identify } from './process-identity.js';
import type { ServiceDefinition } from './service-definition.js';
import { logLength } from './service-log.js';
import { writeRecord, type ServiceRecord } from './service-record.js';
import { openLogFile } from './log-file.js';

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
  const log = await openLogFile(logFile);
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
