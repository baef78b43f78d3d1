/** The operating system's errors about a file, in words. */

const SENTENCES: ReadonlyMap<unknown, (path: string) => string> = new Map<unknown, (path: string) => string>([
  ['ENOENT', path => `there is no ${path}`],
  ['ENOTDIR', path => `a name in the middle of ${path} is no directory`],
  ['EACCES', path => `you may not access ${path}`],
  ['EPERM', path => `you may not change ${path}`],
  ['EEXIST', path => `${path} exists already`],
  ['EISDIR', path => `${path} is a directory`],
  ['ENOSPC', path => `no space is left on the disk of ${path}`],
  ['EDQUOT', path => `your quota on the disk of ${path} is used up`],
  ['EROFS', path => `${path} is on a file system that is mounted read-only`],
  ['ENAMETOOLONG', path => `the name ${path} is too long here`],
  ['ELOOP', path => `too many symbolic links on the way to ${path}`],
  ['EBUSY', path => `${path} is being used`],
  ['EIO', path => `the disk of ${path} fails`],
  ['EFBIG', path => `${path} would be larger than its file system or your limit (ulimit -f) allows`],
  ['EMFILE', path => `too many files are open to open ${path} (ulimit -n)`],
  ['ENXIO', path => `nobody serves the device or socket ${path}`],
  ['ENODEV', path => `there is no device behind ${path}`],
  ['ENOTCONN', path => `the daemon that served the mount of ${path} is gone; unmount it`],
]);

/** `ENOSPC: no space left on device, write`, as Node writes it where it knows no path. */
const NODE_MESSAGE = /^[A-Z0-9]+: ([^,]+), \w+$/;

/** Why a system call about `path` failed, with this code or with the error's own: a clause, without a period. */
export function fileErrorText(error: unknown, path: string, code = codeOf(error)): string {
  const known = SENTENCES.get(code)?.(path);
  if (known !== undefined) return known;
  return `${path}: ${error instanceof Error ? error.message : String(error)}`;
}

/** The same, about the path that Node has noted with the error, if it has. */
export function systemErrorText(error: Error): string {
  const path = 'path' in error && 'syscall' in error ? error.path : undefined;
  if (typeof path === 'string' && SENTENCES.has(codeOf(error))) return fileErrorText(error, path);
  return NODE_MESSAGE.exec(error.message)?.[1] ?? error.message;
}

/** The name of a system's error (ENOENT, …), if it is one. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
