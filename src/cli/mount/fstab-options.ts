/** What stands in /etc/fstab for the options of `dfs mount`: the other way round from mount-helper.ts. */
import { DEFAULT_GOAL } from '../../protocol/limits.js';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_DIRTY_BYTES,
  DEFAULT_READ_AHEAD_BYTES,
  DEFAULT_TIMEOUT_MS,
} from '../../vfs/vfs-options.js';

/** Of a network, and made by systemd when somebody looks at it, so that no start of the machine waits for a server. */
const ALWAYS: readonly string[] = ['_netdev', 'x-systemd.automount'];

export interface FstabParameters {
  readonly readOnly: boolean;
  readonly exec: boolean;
  readonly suid: boolean;
  readonly dev: boolean;
  readonly allowOther: boolean | undefined;
  readonly keepNames: boolean;
  readonly shortCircuit: boolean;
  readonly atime: string;
  readonly driver: string;
  readonly goal: number;
  readonly minReplicas: number | undefined;
  readonly keyFile: string | undefined;
  readonly logFile: string | undefined;
  /** Bytes. */
  readonly cacheSize: number;
  readonly dirty: number;
  readonly readAhead: number;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Those that are not the default, and what systemd needs. */
export function fstabOptions(given: FstabParameters): string[] {
  const { readOnly, exec, suid, dev, allowOther, keepNames, shortCircuit, atime, driver } = given;
  const value = (name: string, now: string | number | undefined, byDefault?: string | number): string[] =>
    now === undefined || now === byDefault ? [] : [`${name}=${now}`];
  return [
    ...ALWAYS,
    ...(readOnly ? ['ro'] : []),
    ...(atime === 'noatime' ? [] : [atime]),
    ...(suid ? ['suid'] : []),
    ...(dev ? ['dev'] : []),
    ...(exec ? [] : ['noexec']),
    ...(allowOther === undefined ? [] : [allowOther ? 'allow_other' : 'no-allow-other']),
    ...(keepNames ? [] : ['no-keep-names']),
    ...(shortCircuit ? [] : ['no-short-circuit']),
    ...value('driver', driver, 'auto'),
    ...value('goal', given.goal, DEFAULT_GOAL),
    ...value('min-replicas', given.minReplicas),
    ...value('key-file', given.keyFile),
    ...value('log-file', given.logFile),
    ...value('cache-size', given.cacheSize, DEFAULT_CACHE_BYTES),
    ...value('dirty', given.dirty, DEFAULT_DIRTY_BYTES),
    ...value('read-ahead', given.readAhead, DEFAULT_READ_AHEAD_BYTES),
    ...value('timeout', given.timeout / 1000, DEFAULT_TIMEOUT_MS / 1000),
  ];
}
