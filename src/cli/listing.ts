/** One listed file as a line: path and size, long, or JSON. */
import {
  PERMISSION_BITS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  S_ISUID,
  S_ISVTX,
} from '../protocol/file-mode.js';
import type { Attributes } from '../protocol/types.js';

export interface Listed {
  /** Absolute in the DFS. */
  readonly path: Buffer;
  readonly attributes: Attributes;
  /** Of a symbolic link, if it was asked for. */
  readonly target?: Buffer | undefined;
}

interface FileType {
  readonly letter: string;
  readonly word: string;
}

/** file type bits of st_mode → how people know it */
const TYPES: ReadonlyMap<number, FileType> = new Map([
  [S_IFREG, { letter: '-', word: 'file' }],
  [S_IFDIR, { letter: 'd', word: 'directory' }],
  [S_IFLNK, { letter: 'l', word: 'symlink' }],
  [S_IFIFO, { letter: 'p', word: 'fifo' }],
  [S_IFSOCK, { letter: 's', word: 'socket' }],
  [S_IFBLK, { letter: 'b', word: 'block device' }],
  [S_IFCHR, { letter: 'c', word: 'character device' }],
]);
const UNKNOWN: FileType = { letter: '?', word: 'unknown' };

const SPACE = 0x20;
const DELETE = 0x7f;
const QUESTION_MARK = 0x3f;

function typeOf(mode: number): FileType {
  return TYPES.get(mode & S_IFMT) ?? UNKNOWN;
}

/** Three letters of permissions; `special` is setuid, setgid or sticky, and shows in place of the x. */
function triple(bits: number, special: boolean, letter: string): string {
  const canExecute = (bits & 1) !== 0;
  const last = special ? (canExecute ? letter : letter.toUpperCase()) : canExecute ? 'x' : '-';
  return `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${last}`;
}

/** `drwxr-xr-x`, as ls(1) shows it. */
export function formatMode(mode: number): string {
  return [
    typeOf(mode).letter,
    triple(mode >> 6, (mode & S_ISUID) !== 0, 's'),
    triple(mode >> 3, (mode & S_ISGID) !== 0, 's'),
    triple(mode, (mode & S_ISVTX) !== 0, 't'),
  ].join('');
}

/** A control character could command the terminal, so there it becomes `?`; elsewhere names stay as they are. */
function printable(bytes: Buffer, isTerminal: boolean): Buffer {
  if (!isTerminal) return bytes;
  return Buffer.from(bytes.map(byte => (byte < SPACE || byte === DELETE ? QUESTION_MARK : byte)));
}

/** Path, then size in bytes; a directory's path ends with a slash. */
export function shortLine({ path, attributes }: Listed, isTerminal: boolean): Buffer {
  const isOpenEnd = typeOf(attributes.mode).letter === 'd' && path.at(-1) !== 0x2f;
  const end = Buffer.from(`${isOpenEnd ? '/' : ''} ${attributes.size}\n`);
  return Buffer.concat([printable(path, isTerminal), end]);
}

/** Mode, links, owner, group, size, modification time in UTC, path, and where a link leads. */
export function longLine({ path, attributes, target }: Listed, isTerminal: boolean): Buffer {
  const { mode, nlink, uid, gid, size, mtime } = attributes;
  const columns = [
    formatMode(mode),
    String(nlink).padStart(3),
    String(uid).padStart(5),
    String(gid).padStart(5),
    String(size).padStart(13),
    formatTime(mtime.sec),
    '',
  ].join(' ');
  const leads = target ? [Buffer.from(' -> '), printable(target, isTerminal)] : [];
  return Buffer.concat([Buffer.from(columns), printable(path, isTerminal), ...leads, Buffer.from('\n')]);
}

/** The last second that a JavaScript date can tell (ECMA-262, time values). */
const MAX_DATE_SECONDS = 8.64e12;

function formatTime(seconds: number): string {
  if (Math.abs(seconds) > MAX_DATE_SECONDS) return `@${seconds}`;
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** A JSON object without the line's end; bytes that are not UTF-8 stand in base64 besides. */
export function jsonObject({ path, attributes, target }: Listed): string {
  const { inode, mode, nlink, uid, gid, size, allocated, mtime, goal } = attributes;
  const text = path.toString('utf8');
  return JSON.stringify({
    path: text,
    ...(Buffer.from(text).equals(path) ? {} : { pathBase64: path.toString('base64') }),
    type: typeOf(mode).word,
    size,
    allocated,
    mode: (mode & PERMISSION_BITS).toString(8).padStart(4, '0'),
    nlink,
    uid,
    gid,
    mtime: mtime.sec + mtime.nsec / 1e9,
    inode,
    goal,
    ...(target ? { target: target.toString('utf8') } : {}),
  });
}
