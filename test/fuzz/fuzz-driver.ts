/**
 * `npm run fuzz -- [--decoder NAME] [--seconds N | --minutes N] [--seed N] [--jobs N] [--keep]`: fuzzes every decoder, or one, for so
 * long each. `--keep` adds what reached something new to the corpus. `--decoder NAME --input FILE` feeds one input alone.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DECODERS } from './decoders.js';
import { faultOf } from './fuzzer.js';

const { values } = parseArgs({
  options: {
    decoder: { type: 'string' },
    seconds: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    jobs: { type: 'string', default: String(Math.max(1, availableParallelism())) },
    input: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

const chosen = values.decoder === undefined ? [...DECODERS.keys()] : values.decoder.split(',');
const unknown = chosen.find(name => !DECODERS.has(name));
if (unknown !== undefined) {
  process.stderr.write(
    `fuzz: there is no decoder '${unknown}'; there are ${[...DECODERS.keys()].join(', ')}\n`,
  );
  process.exit(2);
}
const seconds = values.minutes === undefined ? Number(values.seconds ?? 60) : Number(values.minutes) * 60;

if (values.input === undefined) await fuzzAll();
else await feedOne(values.input);

async function feedOne(path: string): Promise<void> {
  const decoder = await DECODERS.get(chosen[0] ?? '')?.();
  if (!decoder) return;
  const fault = await faultOf(decoder, readFileSync(path));
  await decoder.close?.();
  process.stdout.write(`${decoder.name}: ${fault ?? 'nothing is wrong with this input'}\n`);
  process.exitCode = fault === undefined ? 0 : 1;
}

async function fuzzAll(): Promise<void> {
  const waiting = [...chosen];
  const failed: string[] = [];
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
      if ((await fuzzInProcess(name)) !== 0) failed.push(name);
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  process.stdout.write(failed.length === 0 ? 'no decoder failed\n' : `failed: ${failed.join(', ')}\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

async function fuzzInProcess(decoder: string): Promise<number> {
  const program = fileURLToPath(new URL('fuzz-process-driver.js', import.meta.url));
  const options = [`--decoder=${decoder}`, `--seconds=${seconds}`, `--seed=${values.seed}`];
  const parameters = [program, ...options, ...(values.keep ? ['--keep'] : [])];
  const child = spawn(process.execPath, ['--enable-source-maps', ...parameters], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}
