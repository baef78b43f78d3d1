/**
 * The thread that copies the write-ahead log into the database file. A passive checkpoint on a connection of its own
 * stops no transaction: commits go on committing into the log, and the fsyncs block this thread alone. It also copies
 * pages of the file for backups, since it alone knows when the file is consistent.
 */
import { fstatSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { BackupPlan, WrittenBackup } from '../store.js';
import { writeBackupFile } from './backup-writer.js';
import { DAMAGE_ADVICE, damageText } from './sqlite-errors.js';
import { ChangedPages } from './changed-pages.js';
import type {
  CheckpointAnswer,
  CheckpointProgress,
  CheckpointRequest,
  CheckpointRow,
  CheckpointWorkerData,
} from './checkpoint-protocol.js';

const port = parentPort;
if (!port) throw new Error('checkpoint-thread.js runs as a worker thread only');

const { path, file } = workerData as CheckpointWorkerData;
const database = open();
const pageBytes = Number(database.pragma('page_size', { simple: true }));
let changed: ChangedPages | undefined;

function open(): Database.Database {
  const opened = new Database(path, { fileMustExist: true });
  // NORMAL: the log is fsynced before the database file is changed, and that file before the log is used anew.
  opened.pragma('synchronous = NORMAL');
  opened.pragma('wal_autocheckpoint = 0');
  return opened;
}

function checkpoint(): CheckpointProgress {
  const row = changed
    ? changed.checkpoint()
    : (database.pragma('wal_checkpoint(PASSIVE)') as CheckpointRow[])[0];
  return { logFrames: row?.log ?? 0, copiedFrames: row?.checkpointed ?? 0 };
}

function pageCount(): number {
  return Math.floor(fstatSync(file).size / pageBytes);
}

function copyPages(plan: BackupPlan, from: number, count: number): WrittenBackup {
  const last = Math.min(pageCount(), from + count - 1);
  const pages = Array.from({ length: Math.max(0, last - from + 1) }, (_, index) => from + index);
  return writeBackupFile(file, { ...plan, isComplete: false, pageBytes, pageCount: pageCount() }, pages);
}

function copyChanges(plan: BackupPlan): WrittenBackup | undefined {
  if (changed?.isFileComplete !== true) return undefined;
  const count = pageCount();
  const pages = changed.take(count);
  return writeBackupFile(file, { ...plan, isComplete: true, pageBytes, pageCount: count }, pages);
}

function checkSoundness(): void {
  const found = String(database.pragma('quick_check(1)', { simple: true }));
  if (found !== 'ok')
    throw new Error(`the metadata database ${path} is damaged: ${damageText(found)}; ${DAMAGE_ADVICE}`);
}

function answer(request: Exclude<CheckpointRequest, { is: 'close' }>): CheckpointAnswer {
  try {
    switch (request.is) {
      case 'checkpoint':
        return { progress: checkpoint() };
      case 'check':
        checkSoundness();
        return { pageCount: pageCount() };
      case 'note-changes':
        changed ??= new ChangedPages(database, open(), `${path}-wal`);
        return { pageCount: pageCount() };
      case 'begin-copy':
        if (changed?.isFileComplete !== true) return { pageCount: undefined };
        changed.take(0);
        return { pageCount: pageCount() };
      case 'copy-pages':
        return { written: copyPages(request.plan, request.from, request.count) };
      case 'copy-changes':
        return { written: copyChanges(request.plan) };
    }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

port.on('message', (request: CheckpointRequest) => {
  if (request.is !== 'close') {
    port.postMessage(answer(request));
    return;
  }
  changed?.close();
  database.close();
  port.close();
});
