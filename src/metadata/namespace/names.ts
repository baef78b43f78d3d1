/** What a name may be. Names are bytes; only `/`, NUL, `.` and `..` mean anything. */
import { DfsError } from '../../protocol/errors.js';
import { MAX_NAME_BYTES } from '../../protocol/limits.js';

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
export function checkName(name: Uint8Array): void {
  if (name.length === 0) throw new DfsError('ENOENT', 'a name must not be empty');
  if (name.length > MAX_NAME_BYTES) {
    throw new DfsError(
      'ENAMETOOLONG',
      `a name of ${name.length} bytes is longer than ${MAX_NAME_BYTES}; shorten it`,
    );
  }
  if (name.includes(SLASH) || name.includes(0)) {
    throw new DfsError('EINVAL', `the name ${quoted(name)} holds a slash or a NUL`);
  }
}

/** A name to be created. `.` and `..` are in every directory already (POSIX 4.16): EEXIST. */
export function checkNewName(name: Uint8Array): void {
  checkName(name);
  if (isDot(name) || isDotDot(name))
    throw new DfsError('EEXIST', `${quoted(name)} exists in every directory`);
}

/** A name to be removed or renamed. `.` and `..` cannot be (POSIX rmdir(), rename(): EINVAL). */
export function checkEntryName(name: Uint8Array): void {
  checkName(name);
  if (isDot(name) || isDotDot(name)) {
    throw new DfsError('EINVAL', `${quoted(name)} cannot be removed or renamed`);
  }
}
