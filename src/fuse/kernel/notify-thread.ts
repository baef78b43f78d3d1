/**
 * A thread that writes notifications to /dev/fuse. The kernel may let such a write wait until a request is answered
 * that holds a lock, so it must be another thread than the one that answers, and none of those that libuv reads with.
 */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { NotifyAnswer, NotifyRequest, NotifyWorkerData } from './notify-protocol.js';

const port = parentPort;
if (!port) throw new Error('notify-thread.js runs as a worker thread only');

const { fd } = workerData as NotifyWorkerData;
const EIO = -5;

function write(message: Uint8Array): number {
  try {
    writeSync(fd, message);
    return 0;
  } catch (error) {
    return error instanceof Error && 'errno' in error ? Number(error.errno) : EIO;
  }
}

port.on('message', (request: NotifyRequest) => {
  if (request === 'end') {
    port.close();
    return;
  }
  const answer: NotifyAnswer = {
    id: request.id,
    results: Int32Array.from(request.messages, message => write(message)),
  };
  port.postMessage(answer);
});
