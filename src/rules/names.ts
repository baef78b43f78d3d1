/** What a name may be. Names are bytes; only `/`, NUL, `.` and `..` mean anything. */
import { DfsError } from '../protocol/errors.js';
import { MAX_NAME_BYTES, MAX_SYMLINK_BYTES } from '../protocol/limits.js';
import type { Refusal } from './refusal.js';

const SLASH = 0x2f;
const DOT = 0x2e;

/** Whether a name is `.`. */
export function isDot(name: Uint8Array): boolean {
  return name.length === 1 && name[0] === DOT;
}

/** Whether a name is `..`. */
export function isDotDot(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === DOT && name[1] === DOT;
}

/** How a name looks in a message. */
export function quoted(name: Uint8Array): string {
  return `'${Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString()}'`;
}

/**
 * POSIX 4.16 Pathname Resolution: an empty pathname does not resolve (ENOENT), and a component longer than NAME_MAX is
 * refused (ENAMETOOLONG). A name with a slash or a NUL is none (POSIX 3.170 Filename): EINVAL.
 */
export function nameRefusal(name: Uint8Array): Refusal {
  if (name.length === 0) return new DfsError('ENOENT', 'a name must not be empty');
  if (name.length > MAX_NAME_BYTES) {
    return new DfsError(
      'ENAMETOOLONG',
      `a name of ${name.length} bytes is longer than ${MAX_NAME_BYTES}; shorten it`,
    );
  }
  if (name.includes(SLASH) || name.includes(0)) {
    return new DfsError('EINVAL', `the name ${quoted(name)} holds a slash or a NUL`);
  }
  return undefined;
}

/** A name to be created. `.` and `..` are in every directory already (POSIX 4.16): EEXIST. */
export function newNameRefusal(name: Uint8Array): Refusal {
  if (isDot(name) || isDotDot(name)) {
    return new DfsError('EEXIST', `${quoted(name)} exists in every directory`);
  }
  return nameRefusal(name);
}

/** A name to be removed or renamed. `.` and `..` cannot be (POSIX rmdir(), rename(): EINVAL). */
export function entryNameRefusal(name: Uint8Array): Refusal {
  if (isDot(name) || isDotDot(name)) {
    return new DfsError('EINVAL', `${quoted(name)} cannot be removed or renamed`);
  }
  return nameRefusal(name);
}

/** symlink(2): ENOENT, "target is the empty string"; ENAMETOOLONG, "target or linkpath was too long"; EINVAL for a NUL. */
export function symlinkTargetRefusal(target: Uint8Array): Refusal {
  if (target.length === 0) return new DfsError('ENOENT', "a symbolic link's target must not be empty");
  if (target.length > MAX_SYMLINK_BYTES) {
    return new DfsError('ENAMETOOLONG', `a symbolic link's target has at most ${MAX_SYMLINK_BYTES} bytes`);
  }
  if (target.includes(0)) return new DfsError('EINVAL', "a symbolic link's target must not hold a NUL");
  return undefined;
}
