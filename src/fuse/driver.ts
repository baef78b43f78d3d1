/** The interface of every way of mounting (docs/decisions/08), so that the command line is independent of the driver. */
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import type { MountState } from '../protocol/take-over.js';
import type { FileSystem } from '../vfs/file-system.js';

/** Long enough for a program that does nothing but work on the mount to send its next request. */
export const DEFAULT_BUSY_POLL_MS = 0.05;

export interface FuseMountOptions {
  /** An existing, empty directory, as an absolute path. */
  readonly mountPoint: string;
  /** What `mount` and `df` show as the source, e.g. `dfs@127.0.0.1:8000`. */
  readonly source: string;
  /** Other users than the one who mounts may look in; the kernel checks permissions in any case. */
  readonly allowOther: boolean;
  /** Files may have a user set who runs them (setuid), and devices lead to the machine's. For root alone. */
  readonly allowSuid: boolean;
  readonly allowDevices: boolean;
  /** Programs stored here may run; default: true. */
  readonly allowPrograms?: boolean | undefined;
  /** The kernel refuses every change with EROFS. */
  readonly readOnly?: boolean | undefined;
  /**
   * How long the kernel may believe names, attributes and absent names, in milliseconds, where no lease says that they
   * are true; changes by others show late then.
   */
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
  readonly negativeTimeoutMs: number;
  /** How long the next request is looked for without sleeping after one was answered, in ms; 0 for not at all. */
  readonly busyPollMs: number;
  /** Whether the kernel may keep names until they are revoked; it then unmounts what lies on those that are. */
  readonly keepsNames: boolean;
  /** What the table of mounts says of access times; the file system moves them itself. */
  readonly atime: 'noatime' | 'relatime';
  readonly clock: Clock;
  readonly log: Logger;
}

/** mount(8)'s options for what files of the mount may do to the machine. */
export function privilegeOptions({
  allowSuid,
  allowDevices,
  allowPrograms = true,
}: Pick<FuseMountOptions, 'allowSuid' | 'allowDevices' | 'allowPrograms'>): string[] {
  return [
    allowSuid ? 'suid' : 'nosuid',
    allowDevices ? 'dev' : 'nodev',
    ...(allowPrograms ? [] : ['noexec']),
  ];
}

/** A file system that is mounted. */
export interface FuseMount {
  readonly mountPoint: string;
  /** Resolves when the mount has ended, by `unmount` or by anybody's umount(8). Never rejects. */
  readonly unmounted: Promise<void>;
  /**
   * Unmounts. While somebody still uses the mount it is detached (umount -l): it is gone from the tree at once, and
   * ends when the last user goes. May be called twice.
   */
  unmount(): Promise<void>;
  /** Hands the mount over to another process; undefined where the driver cannot do that. */
  readonly handOver?: HandOver;
}

/** What a successor needs to go on with a mount, beside the descriptor of its device. */
export type TakenMount = Pick<MountState, 'kernel' | 'inodes'>;

/** The steps by which a process that serves a mount gives it to another one. Until `leave`, `resume` takes all of them back. */
export interface HandOver {
  /** The kernel's device. It belongs to the mount, and stays open. */
  readonly descriptor: number;
  /** The kernel drops what it keeps, and keeps nothing more. The mount goes on. */
  prepare(): Promise<void>;
  /**
   * Answers what was asked for, and takes no more requests.
   * @throws EBUSY when that takes longer than `patienceMs`; the mount goes on then
   */
  pause(patienceMs: number): Promise<void>;
  /** While it is paused. */
  state(): TakenMount;
  resume(): void;
  /** The other process serves the mount: this one will not unmount it when it ends. */
  leave(): void;
}

/** A mount of an earlier process, before this one serves it. */
export interface TakenOver {
  /** Answers the kernel from now on. */
  serve(): FuseMount;
  /** Another process goes on with it. */
  abandon(): Promise<void>;
}

export interface FuseDriver {
  readonly name: string;
  /** Whether it knows who makes each request; otherwise all are made for the user who mounts. */
  readonly namesCallers: boolean;
  /** What this driver cannot do that a local file system can; one sentence each, for people. */
  readonly limitations: readonly string[];
  /** Mounts. EBUSY, ENOTDIR, ENOENT, EACCES, ENODEV with a sentence that says what to do. */
  mount(fileSystem: FileSystem, options: FuseMountOptions): Promise<FuseMount>;
  /**
   * Makes ready to go on with a mount of an earlier process; undefined where the driver cannot do that.
   * @param descriptor of the kernel's device; belongs to the mount from now on
   */
  takeOver?(
    fileSystem: FileSystem,
    options: FuseMountOptions,
    taken: TakenMount,
    descriptor: number,
  ): Promise<TakenOver>;
}

/** libfuse's option for what mount(8) shows as the source, in which a comma ends an option unless it is escaped. */
export function sourceOption(source: string): string {
  return `fsname=${source.replaceAll(/[\\,]/g, String.raw`\$&`)}`;
}
