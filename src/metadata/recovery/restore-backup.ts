/** Puts the newest backup that data nodes have together again. */
import { createHash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import Database from 'better-sqlite3';
import type { BackupFile } from '../../protocol/backup-commands.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { MAX_BACKUP_PIECE_BYTES } from '../../protocol/limits.js';
import {
  decodeBackupHead,
  MAX_PREFIX_BYTES,
  PAGE_NUMBER_BYTES,
  type BackupContent,
} from '../backup/backup-format.js';

/** Where files of backups are. */
export interface BackupHolder {
  readonly files: readonly BackupFile[];
  read(file: BackupFile, offset: number, length: number): Promise<Buffer>;
}

export interface RestoredBackup {
  readonly cluster: string;
  readonly generation: number;
  /** The files that were applied. */
  readonly files: number;
  /** Wall-clock ms of the state that was restored. */
  readonly madeMs: number;
  /** What was damaged or missing, a sentence each. */
  readonly troubles: readonly string[];
}

/**
 * Writes the newest complete backup to `path`; every file is checked, and the database as a whole. What is damaged on
 * one node is taken from another; where there is none, the backup before is taken. ENOENT when there is none at all.
 * @param path where nothing is yet, or what is there may be replaced
 */
export async function restoreNewestBackup(
  holders: readonly BackupHolder[],
  path: string,
): Promise<RestoredBackup> {
  const troubles: string[] = [];
  const generations = new Set(holders.flatMap(({ files }) => files.map(({ generation }) => generation)));
  for (const generation of [...generations].sort((a, b) => b - a)) {
    const restored = await restoreGeneration(holders, generation, path, troubles);
    if (restored) return { ...restored, troubles };
  }
  throw new DfsError(
    'ENOENT',
    ['there is no complete backup of the metadata on these data nodes', ...troubles].join('; '),
  );
}

async function restoreGeneration(
  holders: readonly BackupHolder[],
  generation: number,
  path: string,
  troubles: string[],
): Promise<Omit<RestoredBackup, 'troubles'> | undefined> {
  const scratch = `${path}.piece`;
  const target = await open(path, 'w+', 0o600);
  let last: BackupContent | undefined;
  let previous = '';
  let files = 0;
  let pages = 0;
  try {
    for (;;) {
      const fetched = await fetchFile(holders, { generation, file: files, previous }, scratch, troubles);
      if (!fetched) break;
      await apply(fetched, scratch, target);
      last = fetched.content;
      pages += last.pages;
      previous = fetched.sha256;
      files += 1;
    }
    if (last?.isComplete !== true) {
      troubles.push(`the backup of ${dateOf(generation)} is not complete`);
      return undefined;
    }
    // All pages are in the chain, some of them more than once.
    if (last.pageCount > pages) {
      troubles.push(`the backup of ${dateOf(generation)} lacks pages`);
      return undefined;
    }
    await target.truncate(last.pageCount * last.pageBytes);
    await target.sync();
  } finally {
    await target.close();
    await rm(scratch, { force: true });
  }
  const damage = damageOf(path);
  if (damage === undefined) return { cluster: last.cluster, generation, files, madeMs: last.madeMs };
  troubles.push(`the backup of ${dateOf(last.madeMs)} is no sound database (${damage})`);
  return undefined;
}

interface FetchedFile {
  readonly content: BackupContent;
  readonly headBytes: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Brings the file that continues the chain; undefined when nobody has a sound one. */
async function fetchFile(
  holders: readonly BackupHolder[],
  wanted: Pick<BackupContent, 'generation' | 'file' | 'previous'>,
  scratch: string,
  troubles: string[],
): Promise<FetchedFile | undefined> {
  for (const holder of holders) {
    const file = holder.files.find(
      each => each.generation === wanted.generation && each.file === wanted.file,
    );
    if (!file) continue;
    try {
      await download(holder, file, scratch);
      const { content, headBytes } = await headOf(scratch, file.bytes);
      const isNext =
        content.generation === wanted.generation &&
        content.file === wanted.file &&
        content.previous === wanted.previous;
      if (!isNext) throw new DfsError('EINVAL', 'it does not belong to the files before it');
      return { content, headBytes, bytes: file.bytes, sha256: file.sha256 };
    } catch (error) {
      const { message } = toDfsError(error);
      troubles.push(`a copy of file ${file.file} of the backup of ${dateOf(file.generation)}: ${message}`);
    }
  }
  return undefined;
}

async function download(holder: BackupHolder, file: BackupFile, path: string): Promise<void> {
  const target = await open(path, 'w', 0o600);
  const hash = createHash('sha256');
  try {
    for (let offset = 0; offset < file.bytes;) {
      const length = Math.min(MAX_BACKUP_PIECE_BYTES, file.bytes - offset);
      const piece = await holder.read(file, offset, length);
      if (piece.length === 0) throw new DfsError('EIO', 'it is shorter than it was');
      hash.update(piece);
      await target.write(piece, 0, piece.length, offset);
      offset += piece.length;
    }
  } finally {
    await target.close();
  }
  if (hash.digest('hex') !== file.sha256) throw new DfsError('EIO', 'it does not match its checksum');
}

async function headOf(path: string, bytes: number): Promise<ReturnType<typeof decodeBackupHead>> {
  const source = await open(path, 'r');
  try {
    const start = Buffer.alloc(Math.min(MAX_PREFIX_BYTES, bytes));
    await source.read(start, 0, start.length, 0);
    return decodeBackupHead(start, bytes);
  } finally {
    await source.close();
  }
}

/** Writes the pages of a file to where they belong. */
async function apply(
  { content, headBytes, bytes }: FetchedFile,
  path: string,
  target: FileHandle,
): Promise<void> {
  const { pageBytes } = content;
  const record = PAGE_NUMBER_BYTES + pageBytes;
  const block = Buffer.allocUnsafe(Math.max(1, Math.floor(MAX_BACKUP_PIECE_BYTES / record)) * record);
  const source = await open(path, 'r');
  try {
    for (let offset = headBytes; offset < bytes;) {
      const { bytesRead } = await source.read(block, 0, Math.min(block.length, bytes - offset), offset);
      for (let at = 0; at + record <= bytesRead; at += record) {
        const page = block.readUInt32LE(at);
        if (page < 1 || page > content.pageCount)
          throw new DfsError('EINVAL', `it has a page ${page}, but the database has ${content.pageCount}`);
        await target.write(block, at + PAGE_NUMBER_BYTES, pageBytes, (page - 1) * pageBytes);
      }
      offset += bytesRead;
    }
  } finally {
    await source.close();
  }
}

/** What is wrong with a database; undefined when nothing is. */
function damageOf(path: string): string | undefined {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { fileMustExist: true });
    const found = String(database.pragma('integrity_check(1)', { simple: true }));
    return found === 'ok' ? undefined : found;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    database?.close();
  }
}

/** A generation is named by the moment at which it was begun, if who names it tells the truth. */
function dateOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
