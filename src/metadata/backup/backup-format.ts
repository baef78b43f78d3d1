/**
 * A file of a backup: some pages of the metadata database.
 *
 *     "DFSbkup1"   u32 bytes of the head   head (JSON)   { u32 page number, the page } …
 *
 * Integers are little-endian. A generation's files form a chain: each names the checksum of the one before, so that no
 * file of another chain can be taken for one of this. Applied in order up to one that is complete, they are the
 * database file as it was at `madeMs`.
 */
import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { DfsError } from '../../protocol/errors.js';

const MAGIC = Buffer.from('DFSbkup1', 'latin1');
const MAX_HEAD_BYTES = 4096;
/** Before each page stands its number. */
export const PAGE_NUMBER_BYTES = 4;
/** Magic and length. */
const PREFIX_BYTES = MAGIC.length + 4;
/** What has to be read of a file to be sure of its head. */
export const MAX_PREFIX_BYTES = PREFIX_BYTES + MAX_HEAD_BYTES;

const Whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** The most that an SQLite database has (https://sqlite.org/limits.html). */
const MAX_PAGES = 4_294_967_294;
const PageCount = Type.Integer({ minimum: 0, maximum: MAX_PAGES });
/** The last moment that a Date can be. */
const MAX_DATE_MS = 8_640_000_000_000_000;
const BackupContent = Type.Object({
  cluster: Type.String(),
  generation: Whole,
  file: Whole,
  /** The SHA-256 of the file before, empty for the first. */
  previous: Type.String(),
  /** Whether the database is whole when this file was applied. */
  isComplete: Type.Boolean(),
  pageBytes: Type.Integer({ minimum: 512, maximum: 65_536 }),
  /** Pages that the database has. */
  pageCount: PageCount,
  /** Pages in this file. */
  pages: PageCount,
  /** Wall-clock milliseconds. */
  madeMs: Type.Integer({ minimum: 0, maximum: MAX_DATE_MS }),
});
export type BackupContent = Static<typeof BackupContent>;

/** What stands before the pages. */
export function encodeBackupHead(content: BackupContent): Buffer {
  const head = Buffer.from(JSON.stringify(content));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([MAGIC, length, head]);
}

/**
 * Reads what stands before the pages; EINVAL when this is no file of a backup, or of one that this program cannot read.
 * @param start the first MAX_PREFIX_BYTES of the file, or all of it
 * @param fileBytes how long the whole file is
 */
export function decodeBackupHead(
  start: Buffer,
  fileBytes: number,
): { readonly content: BackupContent; readonly headBytes: number } {
  if (start.length < PREFIX_BYTES || !start.subarray(0, MAGIC.length).equals(MAGIC)) throw notABackup();
  const headBytes = PREFIX_BYTES + start.readUInt32LE(MAGIC.length);
  if (headBytes > start.length) throw notABackup();
  let content: unknown;
  try {
    content = JSON.parse(start.toString('utf8', PREFIX_BYTES, headBytes));
  } catch {
    throw notABackup();
  }
  if (!Value.Check(BackupContent, content) || !isPowerOfTwo(content.pageBytes)) throw notABackup();
  if (fileBytes !== headBytes + content.pages * (PAGE_NUMBER_BYTES + content.pageBytes)) throw notABackup();
  return { content, headBytes };
}

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}

function notABackup(): DfsError {
  return new DfsError('EINVAL', 'this is no file of a metadata backup, or one of another version');
}
