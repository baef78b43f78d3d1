/** Fuzzes one decoder, in a process of its own (fuzz-driver.ts): what is left behind is then its own. */
import { parseArgs } from 'node:util';
import { inClone } from '../support/programs.js';
import { addToCorpus, corpusOf, writeInput } from './corpus.js';
import { DECODERS } from './decoders.js';
import { fuzz } from './fuzzer.js';
import { Watchdog } from './watchdog.js';

const { values } = parseArgs({
  options: {
    decoder: { type: 'string', default: '' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});

/** Longer inputs have no place in the repository. */
const MAX_KEPT_BYTES = 8192;

const open = DECODERS.get(values.decoder);
if (!open) throw new Error(`there is no decoder '${values.decoder}'`);
const failures = inClone('build/fuzz-failures/') + values.decoder;
const decoder = await open();
const watchdog = new Watchdog(failures);
const beganMs = performance.now();
try {
  const { inputs, accepted, reached, kept, failure } = await fuzz({
    decoder,
    seed: Number(values.seed),
    forMs: Number(values.seconds) * 1000,
    corpus: corpusOf(values.decoder).map(({ input }) => input),
    onInput: watchdog.watch,
  });
  if (values.keep)
    for (const input of kept) if (input.length <= MAX_KEPT_BYTES) addToCorpus(values.decoder, input);
  const seconds = (performance.now() - beganMs) / 1000;
  const rate = `${inputs} inputs in ${seconds.toFixed(1)} s (${Math.round(inputs / seconds)}/s)`;
  const what = `${accepted} decoded, ${inputs - accepted} refused, ${kept.length} reached something new (${reached} functions and blocks in all)`;
  process.stdout.write(`${values.decoder}: ${rate}, ${what}, seed ${values.seed}\n`);
  if (failure) {
    const path = writeInput(failures, failure.input);
    process.stdout.write(`${values.decoder} FAILED: ${failure.reason}\n`);
    process.stdout.write(`run it again with: npm run fuzz -- --decoder ${values.decoder} --input ${path}\n`);
    process.exitCode = 1;
  }
} finally {
  await decoder.close?.();
  await watchdog.stop();
}
