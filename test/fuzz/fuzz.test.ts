/**
 * Whoever sends or leaves bytes for DFS gets an error for those that are wrong: no decoder crashes, hangs, or grows. Each takes all of
 * its corpus, among it every input at which one failed, and some seconds of what the fuzzer makes of it (docs/fuzzing.md).
 */
import t from 'tap';
import { inClone, runFile } from '../support/programs.js';
import { corpusOf } from './corpus.js';
import { DECODERS } from './decoders.js';
import { faultOf } from './fuzzer.js';

/** So that each run does the same. */
const SEED = 19;
const SECONDS_EACH = 2;
/** Other tests run beside this one. */
const JOBS = 1;

for (const [name, open] of DECODERS) {
  t.test(`${name}: every input of its corpus is decoded or refused`, async t => {
    const decoder = await open();
    t.teardown(async () => await decoder.close?.());
    const faults: string[] = [];
    for (const { name: file, input } of corpusOf(name)) {
      const fault = await faultOf(decoder, input);
      if (fault !== undefined) faults.push(`test/fuzz/corpus/${name}/${file}: ${fault}`);
    }
    t.same(faults, []);
  });
}

t.test('nothing that is made of the corpus is taken amiss', { timeout: 180_000 }, async t => {
  const options = [`--seconds=${SECONDS_EACH}`, `--seed=${SEED}`, `--jobs=${JOBS}`];
  const driver = inClone('build/test/fuzz/fuzz-driver.js');
  const { code, stdout, stderr } = await runFile(process.execPath, [driver, ...options], {
    timeoutMs: 150_000,
  });
  for (const line of stdout.split('\n')) t.comment(line);
  t.equal(code, 0, stderr);
});
