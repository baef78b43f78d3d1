/** Changes of a range of an open file that the metadata server makes: fallocate(2) and copy_file_range(2). */
import { constants } from 'node:fs';
import type { MetadataSession } from '../client/session/metadata-session.js';
import { clone, fallocate } from '../protocol/content-commands.js';
import { DfsError } from '../protocol/errors.js';
import { statfs } from '../protocol/namespace-commands.js';
import type { PrivilegeLoss } from '../protocol/types.js';
import { FallocateFlag } from './file-system.js';
import type { OpenFile } from './open-file.js';
import type { Handle } from './open-handles.js';

/** While this client has the target to itself, copying so little costs no round trip, and sharing it does. */
const SMALL_COPY_BYTES = 64 << 10;

/** On which terms a range is changed. */
export interface RangeTerms {
  /** How setuid, setgid and capabilities go with the change. */
  readonly privilegeLoss?: PrivilegeLoss | undefined;
  /** Why it must not be asked for (again), if it must not. */
  readonly refusal?: (() => DfsError | undefined) | undefined;
}

/** A handle, as far as these changes concern it. */
export interface RangeHandle extends Pick<Handle, 'flags'> {
  readonly file: Pick<OpenFile, 'inode' | 'size' | 'settledInTime' | 'note'>;
}

/** O_RDONLY, O_WRONLY or O_RDWR of the flags of open(2). */
export function accessMode(flags: number): number {
  return flags & (constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR);
}

/** EBADF when the handle is open for writing alone. */
export function requireReadable({ flags }: RangeHandle): void {
  if (accessMode(flags) === constants.O_WRONLY) throw new DfsError('EBADF', 'not open for reading');
}

/** EBADF when the handle is open for reading alone. */
export function requireWritable({ flags }: RangeHandle): void {
  if (accessMode(flags) === constants.O_RDONLY) throw new DfsError('EBADF', 'not open for writing');
}

/** As FileSystem.fallocate. */
export async function allocateRange(
  session: Pick<MetadataSession, 'ask' | 'ordered'>,
  handle: RangeHandle,
  mode: number,
  offset: number,
  length: number,
  { privilegeLoss, refusal }: RangeTerms = {},
): Promise<void> {
  requireWritable(handle);
  const { file } = handle;
  const { keepSize, punchHole, zeroRange } = FallocateFlag;
  const zero = (mode & (punchHole | zeroRange)) !== 0;
  const isHole = (mode & punchHole) !== 0;
  const isKnown = (mode & ~(keepSize | punchHole | zeroRange)) === 0;
  // fallocate(2): FALLOC_FL_PUNCH_HOLE goes with FALLOC_FL_KEEP_SIZE, and with nothing else.
  if (!isKnown || (isHole && mode !== (punchHole | keepSize))) {
    throw new DfsError('EOPNOTSUPP', `fallocate(2) with mode ${mode} is not known here`);
  }
  if (!zero && length > (await session.ask(statfs, {})).freeBytes) {
    throw new DfsError('ENOSPC', `the data nodes do not have ${length} bytes`);
  }
  // What was written before must not be committed after.
  await file.settledInTime();
  const request = {
    inode: file.inode,
    offset,
    length,
    zero,
    keepSize: (mode & keepSize) !== 0,
    ...(privilegeLoss ? { privilegeLoss } : {}),
  };
  const { attributes } = await session.ordered.execute(fallocate, request, refusal);
  file.note(attributes);
}

/** As FileSystem.copyRange: the target refers to the source's chunks. */
export async function copyRange(
  session: Pick<MetadataSession, 'changes' | 'held' | 'ordered'>,
  from: RangeHandle,
  offset: number,
  to: RangeHandle,
  targetOffset: number,
  length: number,
  { privilegeLoss, refusal }: RangeTerms = {},
): Promise<number> {
  requireReadable(from);
  requireWritable(to);
  const left = Math.min(length, from.file.size - offset);
  const isSmall = left > 0 && left <= SMALL_COPY_BYTES;
  const { changes, held } = session;
  if (isSmall && from.file !== to.file && changes.isOpen && held.has(to.file.inode)) {
    throw new DfsError('EOPNOTSUPP', 'a few bytes are copied sooner than their sharing is asked for');
  }
  // What was written before must not be committed after.
  await Promise.all([from.file.settledInTime(), to.file.settledInTime()]);
  const request = {
    source: from.file.inode,
    offset,
    length,
    target: to.file.inode,
    targetOffset,
    ...(privilegeLoss ? { privilegeLoss } : {}),
  };
  const { attributes, copied } = await session.ordered.execute(clone, request, refusal);
  to.file.note(attributes);
  return copied;
}
