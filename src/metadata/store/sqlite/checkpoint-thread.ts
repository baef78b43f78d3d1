/**
 * The thread that copies the write-ahead log into the database file. A passive checkpoint on a connection of its own
 * stops nobody: transactions go on committing into the log, and the fsyncs block this thread alone.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type {
  CheckpointAnswer,
  CheckpointRequest,
  CheckpointRow,
  CheckpointWorkerData,
} from './checkpoint-protocol.js';

const port = parentPort;
if (!port) throw new Error('checkpoint-thread.js runs as a worker thread only');

const { path } = workerData as CheckpointWorkerData;
const database = new Database(path, { fileMustExist: true });
// NORMAL: the log is fsynced before the database file is changed, and that file before the log is used anew.
database.pragma('synchronous = NORMAL');
database.pragma('wal_autocheckpoint = 0');

function checkpoint(): CheckpointAnswer {
  try {
    const [row] = database.pragma('wal_checkpoint(PASSIVE)') as CheckpointRow[];
    return { logFrames: row?.log ?? 0, copiedFrames: row?.checkpointed ?? 0 };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

port.on('message', (request: CheckpointRequest) => {
  if (request === 'checkpoint') {
    port.postMessage(checkpoint());
    return;
  }
  database.close();
  port.close();
});
