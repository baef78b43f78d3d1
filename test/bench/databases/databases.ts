/** The group `databases`: what waits for fsync, as databases do. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { shell } from '../../support/programs.js';
import { makeCold } from '../cold.js';
import type { Subject } from '../subject.js';
import type { WorkloadOptions } from '../workloads.js';
import type { DatabaseContext, DatabaseWorkload } from './database-workload.js';
import { postgresql } from './postgresql.js';
import { fsyncLoop, sqlite } from './python-workloads.js';
import { redis } from './redis.js';

const LONGEST_SECONDS = 4;
const WORKLOADS: readonly DatabaseWorkload[] = [fsyncLoop, postgresql, sqlite, redis];

/**
 * Measures each in a directory of its own, which is removed afterwards. What cannot be measured here is left out, with a sentence.
 * Rejects when something that was acknowledged is not there afterwards, and at the signal.
 */
export async function runDatabases(subject: Subject, options: WorkloadOptions): Promise<void> {
  const { signal, onMeasurement, onNote, sizes } = options;
  if (subject.whyNoFsync !== undefined) {
    onNote(`databases are not measured, since ${subject.whyNoFsync}`);
    return;
  }
  const seconds = Math.min(sizes.fsyncSeconds, LONGEST_SECONDS);
  for (const workload of WORKLOADS) {
    signal.throwIfAborted();
    const obstacle = await workload.whyNot(subject.directory);
    if (obstacle !== undefined) {
      onNote(obstacle);
      continue;
    }
    const directory = join(subject.directory, workload.name);
    await mkdir(directory);
    await shell('sync');
    const context: DatabaseContext = {
      directory,
      seconds,
      remount: subject.remount,
      signal,
      onMeasurement,
      async freshen() {
        await shell('sync');
        await makeCold(subject);
      },
    };
    try {
      await workload.run(context);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}
