/** rename(2) and renameat2(2): what the records decide, and what becomes of them. */
import type { Timespec } from '../platform/clock.js';
import { DfsError } from '../protocol/errors.js';
import { isDirectory } from '../protocol/file-mode.js';
import { RenameFlag } from '../protocol/namespace-commands.js';
import type { Attributes } from '../protocol/types.js';
import { subdirectoriesIn, subdirectoryRefusal, touched, unlinked } from './entries.js';
import { quoted } from './names.js';
import type { Refusal } from './refusal.js';

/** What the flags of renameat2(2) ask for. */
export interface RenameMeaning {
  readonly isExchange: boolean;
  readonly isNoReplace: boolean;
  readonly isWhiteout: boolean;
}

/** The records that a rename reads, and changes. `from` and `to` are one record where it stays in its directory. */
export interface RenameRecords<Inode> {
  readonly from: Inode;
  readonly to: Inode;
  readonly moved: Inode;
  /** What has the new name. */
  readonly target: Inode | undefined;
}

/** What the flags mean, of which renameFlagsRefusal() allows the combination. */
export function renameMeaning(flags: number): RenameMeaning {
  return {
    isExchange: (flags & RenameFlag.exchange) !== 0,
    isNoReplace: (flags & RenameFlag.noreplace) !== 0,
    isWhiteout: (flags & RenameFlag.whiteout) !== 0,
  };
}

/**
 * renameat2(2): EINVAL, "An invalid flag was specified in flags", "both RENAME_NOREPLACE and RENAME_EXCHANGE were specified",
 * "both RENAME_WHITEOUT and RENAME_EXCHANGE were specified".
 */
export function renameFlagsRefusal(flags: number): Refusal {
  const { noreplace, exchange, whiteout } = RenameFlag;
  if ((flags & ~(noreplace | exchange | whiteout)) !== 0) {
    return new DfsError('EINVAL', `a rename with flags ${flags} is not known here`);
  }
  if ((flags & exchange) === 0 || flags === exchange) return undefined;
  return new DfsError(
    'EINVAL',
    'a rename that exchanges two names can neither keep one of them nor leave a whiteout',
  );
}

/** renameat2(2): EEXIST with RENAME_NOREPLACE; ENOENT with RENAME_EXCHANGE when newpath does not exist. */
export function renameTargetRefusal(
  target: object | undefined,
  newName: Uint8Array,
  { isNoReplace, isExchange }: RenameMeaning,
): Refusal {
  if (isNoReplace && target) return new DfsError('EEXIST', `${quoted(newName)} exists already`);
  if (isExchange && !target) return new DfsError('ENOENT', `${quoted(newName)} does not exist`);
  return undefined;
}

/**
 * POSIX rename(): EISDIR, the new name is a directory and the old one is not; ENOTDIR, the other way round. That a directory
 * to be replaced is empty is for the caller to find out.
 */
export function replaceRefusal(
  moved: Pick<Attributes, 'mode'>,
  target: Pick<Attributes, 'mode'>,
  newName: Uint8Array,
): Refusal {
  if (isDirectory(target.mode) && !isDirectory(moved.mode)) {
    return new DfsError('EISDIR', `${quoted(newName)} is a directory`);
  }
  if (isDirectory(moved.mode) && !isDirectory(target.mode)) {
    return new DfsError('ENOTDIR', `${quoted(newName)} is not a directory`);
  }
  return undefined;
}

/** POSIX rename(): EMLINK, "the link count of the parent directory of new would exceed {LINK_MAX}". */
export function renameRoomRefusal({ from, to, moved }: RenameRecords<Attributes>): Refusal {
  return isDirectory(moved.mode) && from.inode !== to.inode ? subdirectoryRefusal(to) : undefined;
}

/**
 * The records after a rename. Both directories are touched; what moved has a new ctime, as Linux file systems do it (POSIX
 * leaves it open); what it replaced has one name fewer.
 */
export function renamed<Inode extends Attributes>(
  { from, to, moved, target }: RenameRecords<Inode>,
  { isExchange }: RenameMeaning,
  now: Timespec,
): RenameRecords<Inode> {
  const came = subdirectoriesIn(moved) - subdirectoriesIn(target);
  const left = isExchange ? came : subdirectoriesIn(moved);
  const isWithin = from.inode === to.inode;
  const touchedTo = touched(to, isWithin ? came - left : came, now);
  return {
    from: isWithin ? touchedTo : touched(from, -left, now),
    to: touchedTo,
    moved: { ...moved, ctime: now },
    target: target && (isExchange ? { ...target, ctime: now } : unlinked(target, now)),
  };
}
