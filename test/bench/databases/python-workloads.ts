/** Workloads that are Python scripts. */
import { hasProgram } from '../../support/find-program.js';
import { inClone } from '../../support/programs.js';
import { runMeasuringProcess } from '../measuring-process.js';
import type { DatabaseContext, DatabaseWorkload } from './database-workload.js';

export const fsyncLoop: DatabaseWorkload = {
  name: 'fsync',
  whyNot: async () => whyNoPython('the fsync loop'),
  run: async context => await runPython('fsync_loop.py', context),
};

export const sqlite: DatabaseWorkload = {
  name: 'sqlite',
  whyNot: async () => whyNoPython('SQLite'),
  run: async context => await runPython('sqlite_writers.py', context),
};

function whyNoPython(what: string): string | undefined {
  return hasProgram('python3')
    ? undefined
    : `${what} is not measured without python3: apt-get install python3 (as root)`;
}

async function runPython(name: string, context: DatabaseContext): Promise<void> {
  const { directory, seconds, remount: REMOUNT, signal, onMeasurement } = context;
  const script = inClone(`test/bench/databases/${name}`);
  await runMeasuringProcess({
    name,
    command: 'python3',
    parameters: [script, `--seconds=${seconds}`, directory],
    env: { REMOUNT, PYTHONDONTWRITEBYTECODE: '1' },
    signal,
    onMeasurement,
  });
}
