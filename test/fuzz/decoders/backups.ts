/** Backups of the metadata, as data nodes hand them out (src/metadata/recovery/restore-backup.ts). */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import {
  decodeBackupHead,
  encodeBackupHead,
  MAX_PREFIX_BYTES,
} from '../../../src/metadata/backup/backup-format.js';
import { restoreNewestBackup } from '../../../src/metadata/recovery/restore-backup.js';
import type { BackupFile } from '../../../src/protocol/backup-commands.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { promise, type Decoder } from '../decoder.js';

const GENERATION = 1;
const PAGE_BYTES = 512;
/** What one that was restored may take of the disk for each byte that came. */
const MAX_SPREAD = 64;

export function backups(): Decoder {
  const directory = mkdtempSync(join('/dev/shm', 'dfs-fuzz-backups-'));
  const path = join(directory, 'restored.db');
  const database = databaseBytes(join(directory, 'made.db'));
  const pageCount = database.length / PAGE_BYTES;
  return {
    name: 'backups',
    words: [
      'DFSbkup1',
      '"pageBytes":',
      '"pageCount":',
      '"pages":',
      '"isComplete":true',
      '"previous":"',
      '__proto__',
    ],
    maxInputBytes: 3 * database.length,
    make(random) {
      const records: Buffer[] = [];
      for (let page = 0; page < pageCount; page += 1) {
        const number = Buffer.alloc(4);
        number.writeUInt32LE(random.isChance(0.02) ? random.u32() : page + 1);
        records.push(number, database.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
      }
      const head = encodeBackupHead({
        cluster: 'c',
        generation: GENERATION,
        file: 0,
        previous: '',
        isComplete: !random.isChance(0.1),
        pageBytes: PAGE_BYTES,
        pageCount: random.isChance(0.1) ? random.integer(0, 2 ** 50) : pageCount,
        pages: pageCount,
        madeMs: random.isChance(0.1) ? Number.MAX_SAFE_INTEGER : 1,
      });
      return Buffer.concat([head, ...records]);
    },
    async decode(input) {
      const { content, headBytes } = decodeBackupHead(input.subarray(0, MAX_PREFIX_BYTES), input.length);
      const again = decodeBackupHead(
        encodeBackupHead(content),
        encodeBackupHead(content).length + input.length - headBytes,
      );
      promise(
        JSON.stringify(again.content) === JSON.stringify(content),
        'a head that is written again is another one',
      );
      const sha256 = createHash('sha256').update(input).digest('hex');
      const file: BackupFile = {
        generation: GENERATION,
        file: 0,
        isComplete: content.isComplete,
        sha256,
        bytes: input.length,
      };
      const read = async (_: BackupFile, offset: number, length: number): Promise<Buffer> =>
        await Promise.resolve(input.subarray(offset, offset + length));
      const restored = await restoreNewestBackup([{ files: [file], read }], path);
      promise(restored.generation === GENERATION, 'what was restored is what there was');
      const { size } = statSync(path);
      promise(
        size <= MAX_SPREAD * input.length,
        `${input.length} bytes of a backup became a database of ${size}`,
      );
    },
    mayThrow: error => error instanceof DfsError && (error.code === 'EINVAL' || error.code === 'ENOENT'),
    close: async () => {
      rmSync(directory, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}

/** A small database. */
function databaseBytes(path: string): Buffer {
  const database = new Database(path);
  database.pragma(`page_size = ${PAGE_BYTES}`);
  database.exec(
    `CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two');`,
  );
  database.close();
  return readFileSync(path);
}
