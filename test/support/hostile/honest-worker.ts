/** The thread of HonestClient. */
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { connectMember } from './member.js';
import type { HonestOrder, HonestTimes } from './honest-client.js';

const PAUSE_MS = 20;
const CALL_MS = 60_000;

const { clone, endpoint, command, server, keyPath } = workerData as HonestOrder;
const stopping = new AbortController();
parentPort?.once('message', () => stopping.abort());

const client = await connectMember(pathToFileURL(`${clone}/build/src/`).href, endpoint, server, keyPath);
const timesMs: number[] = [];
const failures: string[] = [];
await client.ask(command, CALL_MS);
parentPort?.postMessage('started', []);
while (!stopping.signal.aborted) {
  const beganMs = performance.now();
  try {
    await client.ask(command, CALL_MS);
    timesMs.push(performance.now() - beganMs);
  } catch (error) {
    failures.push(String(error));
  }
  await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
}
client.close();
const times: HonestTimes = { timesMs, failures };
parentPort?.postMessage(times, []);
