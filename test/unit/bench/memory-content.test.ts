/** Files of the null file system hold what was written, with zeros where nothing was. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { randomFractions } from '../../../src/cli/bench/source-data.js';
import { MemoryContent } from '../../bench/null/memory-content.js';

const MAX_BYTES = 3 << 20;
const STEPS = 120;

function readAll(content: MemoryContent): Buffer {
  return Buffer.concat(content.read(0, MAX_BYTES));
}

t.test('as a plain buffer, whatever is written, cut and made longer', async t => {
  for (const seed of [1, 2, 3]) {
    const fraction = randomFractions(seed);
    const upTo = (limit: number): number => Math.floor(fraction() * limit);
    const content = new MemoryContent();
    let model = Buffer.alloc(0);
    const resizeModel = (size: number): void => {
      const resized = Buffer.alloc(size);
      model.copy(resized);
      model = resized;
    };
    for (let step = 0; step < STEPS; step += 1) {
      if (fraction() < 0.1) {
        const size = upTo(MAX_BYTES);
        content.resize(size);
        resizeModel(size);
      } else {
        const isSmall = fraction() < 0.8;
        const data = randomBytes(upTo(isSmall ? 10_000 : 3 << 19));
        const offset = fraction() < 0.5 ? model.length : upTo(MAX_BYTES);
        if (offset + data.length > MAX_BYTES || data.length === 0) continue;
        content.write(offset, data);
        if (offset + data.length > model.length) resizeModel(offset + data.length);
        data.copy(model, offset);
      }
      if (step % 20 !== 0) continue;
      const [from, length] = [upTo(MAX_BYTES), upTo(3 << 20)];
      t.ok(Buffer.concat(content.read(from, length)).equals(model.subarray(from, from + length)), 'a part');
    }
    t.equal(content.size, model.length);
    t.ok(readAll(content).equals(model), `all of it, seed ${seed}`);
  }
});

t.test('small files take little memory', async t => {
  const content = new MemoryContent();
  content.write(0, Buffer.alloc(100));
  t.equal(content.allocated, 4096);
});
