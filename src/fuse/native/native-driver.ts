/** Mounts through fuse-native: libfuse 2, path-based, portable. */
import { DfsError, toDfsError } from '../../protocol/errors.js';
import type { FileSystem } from '../../vfs/file-system.js';
import {
  privilegeOptions,
  sourceOption,
  type FuseDriver,
  type FuseMount,
  type FuseMountOptions,
} from '../driver.js';
import { prepareMountPoint, unmountOrDetach, waitUntilUnmounted } from '../mount-point.js';
import { NATIVE_LIMITATIONS } from './limitations.js';
import { pathOperations } from './path-operations.js';

/** The most that libfuse 2 takes in one request. */
const MAX_REQUEST_BYTES = 128 << 10;

export const nativeDriver: FuseDriver = {
  name: 'fuse-native',
  namesCallers: false,
  limitations: NATIVE_LIMITATIONS.map(({ sentence }) => sentence),

  async mount(fileSystem: FileSystem, options: FuseMountOptions): Promise<FuseMount> {
    const { mountPoint, clock, log } = options;
    await prepareMountPoint(mountPoint, log);
    // Here, because it needs libfuse 2 of the machine: servers and other commands do without.
    const { PatchedFuse } = await import('./patched-fuse.js').catch(refuse);
    const fuse = new PatchedFuse(mountPoint, pathOperations(fileSystem, log), mountOptions(options));
    await new Promise<void>((resolve, reject) => {
      fuse.mount(error => {
        if (error) reject(explain(error, mountPoint));
        else resolve();
      });
    });
    // The library does not tell when somebody unmounts.
    const unmounted = waitUntilUnmounted(mountPoint, clock);
    return {
      mountPoint,
      unmounted,
      async unmount() {
        await unmountOrDetach(mountPoint);
        await unmounted;
      },
    };
  },
};

function mountOptions(options: FuseMountOptions): string[] {
  const seconds = (ms: number): string => (ms / 1000).toFixed(3);
  return [
    sourceOption(options.source),
    'subtype=dfs',
    'big_writes',
    'use_ino',
    'default_permissions',
    ...privilegeOptions(options),
    ...(options.readOnly === true ? ['ro'] : []),
    ...(options.allowOther ? ['allow_other'] : []),
    `max_read=${MAX_REQUEST_BYTES}`,
    `max_write=${MAX_REQUEST_BYTES}`,
    `entry_timeout=${seconds(options.entryTimeoutMs)}`,
    `attr_timeout=${seconds(options.attrTimeoutMs)}`,
    `negative_timeout=${seconds(options.negativeTimeoutMs)}`,
  ];
}

function refuse(error: unknown): never {
  const { message } = toDfsError(error);
  throw new DfsError(
    'ENODEV',
    `fuse-native needs libfuse 2 (Debian: libfuse2): ${message.split('\n')[0] ?? ''}`,
  );
}

/** libfuse says why on standard error; the library only says that it failed. */
function explain(error: Error, mountPoint: string): DfsError {
  if (error.message === 'fuse failed') {
    return new DfsError(
      'ENODEV',
      `libfuse could not mount ${mountPoint}; check that /dev/fuse is there, that fusermount is installed (Debian: fuse3), and, for --allow-other without root, that /etc/fuse.conf has user_allow_other`,
    );
  }
  return toDfsError(error).within(`cannot mount ${mountPoint}`);
}
