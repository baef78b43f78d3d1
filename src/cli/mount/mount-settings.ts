/** How a mount is served, and what of that a process which takes the mount over has to know. */
import type { FuseDriver } from '../../fuse/driver.js';
import type { Logger, LogLevel } from '../../platform/log.js';
import type { Endpoint } from '../../platform/network.js';
import { DEFAULT_GOAL } from '../../protocol/limits.js';
import type { MountSettings } from '../../protocol/take-over.js';
import { DEFAULT_CACHE_BYTES, DEFAULT_DIRTY_BYTES, DEFAULT_READ_AHEAD_BYTES } from '../../vfs/vfs-options.js';
import type { ClientSettings } from '../client-options.js';

export interface MountProcessOptions {
  readonly server: Endpoint;
  /** Absolute. */
  readonly mountPoint: string;
  readonly driver: FuseDriver;
  readonly allowOther: boolean;
  /** As in FuseMountOptions. */
  readonly allowSuid: boolean;
  readonly allowDevices: boolean;
  readonly allowPrograms: boolean;
  readonly settings: ClientSettings;
  /** As in FuseMountOptions. */
  readonly busyPollMs: number;
  /** As in FuseMountOptions. */
  readonly keepsNames: boolean;
  /** How long the kernel may believe names, attributes and absent names, in milliseconds. */
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
  readonly negativeTimeoutMs: number;
  readonly log: Logger;
  /** Called once when the mount can be used, with what its user should know of it. */
  readonly onReady: (note: string | undefined) => void;
}

/** What goes to the process that takes the mount over. */
export function settingsOf(options: MountProcessOptions): MountSettings {
  const { server, settings, entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs, busyPollMs } = options;
  const { keyFile, minReplicas, rootPath } = settings;
  return {
    host: server.host,
    port: server.port,
    ...(keyFile === undefined ? {} : { keyFile }),
    readOnly: settings.readOnly ?? false,
    ...(rootPath ? { rootPath: [...rootPath] } : {}),
    timeout: settings.timeout,
    goal: settings.goal ?? DEFAULT_GOAL,
    ...(minReplicas === undefined ? {} : { minReplicas }),
    dirtyBytes: settings.dirtyBytes ?? DEFAULT_DIRTY_BYTES,
    cacheBytes: settings.cacheBytes ?? DEFAULT_CACHE_BYTES,
    readAheadBytes: settings.readAheadBytes ?? DEFAULT_READ_AHEAD_BYTES,
    shortCircuit: settings.shortCircuit ?? true,
    atime: settings.atime ?? 'noatime',
    entryTimeoutMs,
    attrTimeoutMs,
    negativeTimeoutMs,
    busyPollMs,
  };
}

/** How a mount goes on that had these settings. What only mounting needs has been done. */
export function optionsOf(
  told: MountSettings,
  logLevel: LogLevel,
): Omit<MountProcessOptions, 'mountPoint' | 'driver' | 'log' | 'onReady'> {
  const { host, port, keyFile, entryTimeoutMs, attrTimeoutMs, negativeTimeoutMs, busyPollMs, ...settings } =
    told;
  return {
    server: { host, port },
    allowOther: false,
    allowSuid: false,
    allowDevices: false,
    allowPrograms: false,
    settings: { ...settings, keyFile, logLevel },
    entryTimeoutMs,
    attrTimeoutMs,
    negativeTimeoutMs,
    busyPollMs,
    keepsNames: true,
  };
}
