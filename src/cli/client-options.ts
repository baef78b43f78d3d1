/** Options that all clients share: the server's address, and the time limit. */
import { hostname } from 'node:os';
import type { Argv } from 'yargs';
import { systemClock } from '../platform/clock.js';
import { nodeLocalFiles } from '../platform/local-files.js';
import { createLogger, LOG_LEVELS, type Logger, type LogLevel } from '../platform/log.js';
import type { Endpoint } from '../platform/network.js';
import { systemRandom } from '../platform/random.js';
import { DfsError, isUnknownHost, toDfsError } from '../protocol/errors.js';
import { DEFAULT_CHUNK_BYTES, DEFAULT_GOAL, MAX_CALLER_GROUPS, MAX_GOAL } from '../protocol/limits.js';
import type { FileSystemState } from '../protocol/take-over.js';
import type { Caller } from '../protocol/types.js';
import { isConnectionError } from '../rpc/client.js';
import type { FileSystem } from '../vfs/file-system.js';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_DIRTY_BYTES,
  DEFAULT_READ_AHEAD_BYTES,
  DEFAULT_TIMEOUT_MS,
  type AtimeRule,
  type VfsOptions,
} from '../vfs/vfs-options.js';
import { viewOf } from '../vfs/export-view.js';
import { Vfs } from '../vfs/vfs.js';
import { formatEndpoint } from './address.js';
import { KEY_FILE_OPTION } from './key-option.js';
import { accessAs, type MemberAccess } from './member-access.js';
import { parseCount, parseSeconds } from './quantity.js';

export interface ClientParameters {
  readonly keyFile: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
  readonly logLevel: LogLevel;
}

interface ClientDefaults {
  readonly timeoutMs?: number;
  readonly logLevel?: LogLevel;
}

/** Declares --key-file, --timeout and --log-level. */
export function clientOptions(yargs: Argv, defaults: ClientDefaults = {}) {
  return yargs
    .option('key-file', KEY_FILE_OPTION)
    .option('timeout', {
      type: 'string',
      requiresArg: true,
      default: String((defaults.timeoutMs ?? DEFAULT_TIMEOUT_MS) / 1000),
      coerce: parseSeconds,
      describe: 'seconds to wait for servers that went away before failing',
    })
    .option('log-level', {
      choices: LOG_LEVELS,
      default: defaults.logLevel ?? ('silent' as const),
      describe: 'how much to tell on standard error, as JSON lines',
    });
}

/** --goal, for the commands that write. */
export const GOAL_OPTION = {
  type: 'string',
  requiresArg: true,
  default: String(DEFAULT_GOAL),
  coerce: (text: string): number => parseCount(text, 'goal', 1, MAX_GOAL),
  describe:
    'on how many data nodes new files are kept, or on all if there are fewer; a directory may say otherwise (dfs goal)',
} as const;

/** --min-replicas, for the same. */
export const MIN_REPLICAS_OPTION = {
  type: 'string',
  requiresArg: true,
  coerce: (text: string | undefined): number | undefined =>
    text === undefined ? undefined : parseCount(text, 'number of replicas', 1, MAX_GOAL),
  describe:
    'a write counts when so many data nodes have it, or as many as the goal says if that is fewer; until then it ' +
    'waits, and fails after the timeout [default: the goal, or all live nodes if there are fewer]',
} as const;

/** --short-circuit, for the commands that read. */
export const SHORT_CIRCUIT_OPTION = {
  type: 'boolean',
  default: true,
  describe: "read straight from the files of data nodes on this machine, where this user's rights allow it",
} as const;

export interface ClientSettings extends ClientParameters {
  /** How the program proves that it is a member; default: as accessAs() finds. */
  readonly access?: MemberAccess;
  /** What the command needs to be; default: a client. */
  readonly role?: 'client' | 'admin';
  readonly goal?: number;
  readonly minReplicas?: number | undefined;
  readonly dirtyBytes?: number;
  readonly cacheBytes?: number;
  readonly readAheadBytes?: number;
  readonly shortCircuit?: boolean;
  readonly atime?: AtimeRule;
  /** As in VfsOptions. */
  readonly readOnly?: boolean;
  /** The names of the directory that is to be the root; left out: whatever this machine may mount. */
  readonly rootPath?: readonly Uint8Array[] | undefined;
  /** As in VfsOptions. */
  readonly taken?: FileSystemState;
}

/** Who runs this, to whom the metadata server may refuse what it likes. */
function processCaller(): Caller {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const groups = (process.getgroups?.() ?? []).slice(0, MAX_CALLER_GROUPS);
  return { uid, gid, groups };
}

/**
 * Connects to the metadata server; one attempt, so that a wrong address is told at once. ECONNREFUSED, EHOSTUNREACH,
 * ETIMEDOUT, EACCES. The caller closes it.
 */
export async function openFileSystem(
  program: string,
  metadata: Endpoint,
  settings: ClientSettings,
  log: Logger = createLogger(program, settings.logLevel),
): Promise<FileSystem> {
  const { role: wanted = 'client', keyFile, access } = settings;
  const { network, keys, role } = access ?? accessAs(wanted, { keyFile, log });
  const options: VfsOptions = {
    metadata,
    network,
    keys,
    role,
    goal: settings.goal ?? DEFAULT_GOAL,
    minReplicas: settings.minReplicas,
    timeoutMs: settings.timeout,
    dirtyBytes: settings.dirtyBytes ?? DEFAULT_DIRTY_BYTES,
    cacheBytes: settings.cacheBytes ?? DEFAULT_CACHE_BYTES,
    readAheadBytes: settings.readAheadBytes ?? DEFAULT_READ_AHEAD_BYTES,
    chunkBytes: DEFAULT_CHUNK_BYTES,
    atime: settings.atime,
    readOnly: settings.readOnly,
    taken: settings.taken,
    caller: processCaller(),
    path: settings.rootPath,
    clientName: `${program} on ${hostname()}, process ${process.pid}`,
    localFiles: settings.shortCircuit === false ? undefined : nodeLocalFiles,
    clock: systemClock,
    random: systemRandom,
    log,
  };
  try {
    const fileSystem = await Vfs.open(options);
    try {
      return await viewOf(fileSystem, settings.rootPath, settings.taken?.root);
    } catch (error) {
      if (settings.taken) await fileSystem.handOver.leave();
      else await fileSystem.close();
      throw error;
    }
  } catch (error) {
    const reason = toDfsError(error);
    if (!isConnectionError(reason)) throw reason;
    if (isUnknownHost(reason))
      throw new DfsError(reason.code, `no such host: ${metadata.host}; check the name`, { cause: reason });
    const where = formatEndpoint(metadata);
    throw new DfsError(
      reason.code,
      `no metadata server answers at ${where}; check the address, and that it runs (${reason.code})`,
      { cause: reason },
    );
  }
}

/** Does `work` with a connection that is closed afterwards, whatever happens. */
export async function withFileSystem(
  program: string,
  metadata: Endpoint,
  settings: ClientSettings,
  work: (fileSystem: FileSystem) => Promise<void>,
): Promise<void> {
  const fileSystem = await openFileSystem(program, metadata, settings);
  try {
    await work(fileSystem);
  } catch (error) {
    // What failed first is what the user should hear of.
    await fileSystem.close().catch(() => undefined);
    throw error;
  }
  await fileSystem.close();
}
