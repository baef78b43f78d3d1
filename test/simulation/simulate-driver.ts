/** `npm run simulate -- [--seeds N] [--minutes M] [--seed S] [--trace]`: runs clusters from seeds until one fails. */
import { parseArgs } from 'node:util';
import { PLANTED_BUGS } from './planted-bugs.js';
import { simulate } from './run.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: '10' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    bug: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
  },
});

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const bug = PLANTED_BUGS.find(({ name }) => values.bug !== undefined && name.includes(values.bug));
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const startedMs = performance.now();
const untilMs = startedMs + Number(values.minutes) * 60_000;
let ran = 0;
let failed = 0;
let operations = 0;
let simulatedMs = 0;
for (let seed = from; seed < from + count && performance.now() < untilMs; seed += 1) {
  const result = await simulate({ seed, bug, onTrace: values.trace ? print : undefined });
  ran += 1;
  operations += result.operations;
  simulatedMs += result.simulatedMs;
  if (result.failure === undefined) continue;
  failed += 1;
  print(`seed ${seed} FAILED (faults: ${result.faults.join(', ') || 'none'}) ${result.failure}`);
  print(`replay it with: npm run simulate -- --seed ${seed} --trace`);
  if (!values['keep-going']) break;
}
const seconds = (performance.now() - startedMs) / 1000;
print(
  `${ran} seeds, ${failed} failed; ${operations} operations in ${Math.round(simulatedMs / 1000)} simulated seconds, ${seconds.toFixed(1)} real ones (${(ran / seconds).toFixed(1)} seeds/s)`,
);
process.exitCode = failed > 0 ? 1 : 0;
