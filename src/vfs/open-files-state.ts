/** What programs have open, as it goes from the process that serves a mount to its successor (protocol/take-over.ts). */
import { decodeFailure, encodeFailure, type OpenFilesState } from '../protocol/take-over.js';
import type { Attributes } from '../protocol/types.js';
import type { FileFailures } from './file-failures.js';
import type { FileHandle } from './file-system.js';
import type { HandleLocks } from './handle-locks.js';
import type { OpenFile } from './open-file.js';
import type { Handle, OpenHandles } from './open-handles.js';
import type { ReadAhead } from './read-ahead.js';

export interface OpenFilesParts {
  /** Those that have handles. Everything that was written to them is committed. */
  readonly files: readonly OpenFile[];
  readonly handles: OpenHandles;
  readonly failures: FileFailures;
  readonly locks: HandleLocks;
}

export function encodeOpenFiles({ files, handles, failures, locks }: OpenFilesParts): OpenFilesState {
  return {
    files: files.map(({ attributes, hasLostNames, lastFailure }) => ({
      attributes,
      hasLostNames,
      ...(lastFailure ? { failure: encodeFailure(lastFailure) } : {}),
    })),
    handles: [...handles].map(([handle, { file, flags, toldFailures, hasLostLock }]) => ({
      handle,
      inode: file.inode,
      flags,
      isToldOfFailure: toldFailures === file.failures,
      hasLostLock,
    })),
    lastHandle: handles.last,
    failures: failures.state(),
    ...locks.state(),
  };
}

/**
 * @param open makes the file for one more handle
 */
export function restoredHandles(
  { files, handles }: OpenFilesState,
  open: (attributes: Attributes) => OpenFile,
  readAhead: () => ReadAhead,
): [FileHandle, Handle][] {
  const byInode = new Map(files.map(file => [file.attributes.inode, file]));
  return handles.flatMap(({ handle, inode, flags, isToldOfFailure, hasLostLock }) => {
    const known = byInode.get(inode);
    if (!known) return [];
    const file = open(known.attributes);
    file.hasLostNames = known.hasLostNames;
    // Others may have written to it since its attributes were told.
    file.mayBeStale();
    if (known.failure && file.failures === 0) file.noteFailure(decodeFailure(known.failure));
    const toldFailures = isToldOfFailure ? file.failures : 0;
    return [[handle, { file, flags, readAhead: readAhead(), toldFailures, hasLostLock }]];
  });
}
