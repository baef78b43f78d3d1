/** Writes pages of the database file into a file of a backup; blocks its thread, and is bounded in memory. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { encodeBackupHead, PAGE_NUMBER_BYTES, type BackupContent } from '../../backup/backup-format.js';
import type { BackupPlan, WrittenBackup } from '../store.js';

const BLOCK_BYTES = 1 << 20;

/**
 * @param source the database file
 * @param plan where to write, and what stands in the head of the file
 * @param pages the numbers of the pages, counted from 1
 */
export function writeBackupFile(
  source: number,
  plan: BackupPlan & Pick<BackupContent, 'isComplete' | 'pageBytes' | 'pageCount'>,
  pages: readonly number[],
): WrittenBackup {
  const { path, ...content } = plan;
  const { pageBytes, isComplete } = content;
  const target = openSync(path, 'w', 0o600);
  const hash = createHash('sha256');
  let bytes = 0;
  const put = (block: Buffer): void => {
    for (let done = 0; done < block.length;) done += writeSync(target, block, done, block.length - done);
    hash.update(block);
    bytes += block.length;
  };
  try {
    put(encodeBackupHead({ ...content, pages: pages.length }));
    const record = PAGE_NUMBER_BYTES + pageBytes;
    const block = Buffer.allocUnsafe(Math.max(1, Math.floor(BLOCK_BYTES / record)) * record);
    let filled = 0;
    for (const page of pages) {
      block.writeUInt32LE(page, filled);
      const at = filled + PAGE_NUMBER_BYTES;
      if (readSync(source, block, at, pageBytes, (page - 1) * pageBytes) < pageBytes)
        throw new Error(`page ${page} of the database cannot be read`);
      filled += record;
      if (filled === block.length) {
        put(block);
        filled = 0;
      }
    }
    put(block.subarray(0, filled));
  } finally {
    closeSync(target);
  }
  return { isComplete, bytes, sha256: hash.digest('hex') };
}
