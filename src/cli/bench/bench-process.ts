/** The program of the worker processes: the main process stays free to hear Ctrl-C. */
import { nowNs } from './outcome.js';
import { dataOf } from './source-data.js';
import { perform, type TaskReply, type TaskRequest } from './tasks.js';

function waitUntil(momentNs: number): void {
  const waiting = new Int32Array(new SharedArrayBuffer(4));
  for (let leftNs = momentNs - nowNs(); leftNs > 0; leftNs = momentNs - nowNs()) {
    Atomics.wait(waiting, 0, 0, leftNs / 1e6);
  }
}

function reply(message: TaskReply): void {
  process.send?.(message);
}

// Only workers.ts starts this program.
process.on('message', (request: TaskRequest) => {
  try {
    waitUntil(request.notBeforeNs);
    reply({ outcome: perform(request) });
  } catch (error) {
    reply({ error: error instanceof Error ? error.message : String(error) });
  }
});
process.on('disconnect', () => process.exit());
// Made before anything is timed.
dataOf(0, 1);
reply({ isReady: true });
