/** Small chunks set out together, unless somebody waits (vfs/store-gathering.ts). */
import t from 'tap';
import { StoreGathering } from '../../../src/vfs/store-gathering.js';
import { ManualClock } from '../../support/manual-clock.js';

const GATHER_MS = 8;
const MANY = 32;

function scene() {
  const clock = new ManualClock();
  const gathering = new StoreGathering(clock);
  const gone: number[] = [];
  const store = async (chunk: number): Promise<void> => {
    await gathering.turn();
    gone.push(chunk);
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await new Promise<void>(resolve => {
      setImmediate(resolve);
    });
  };
  return { gathering, gone, store: (chunk: number): void => void store(chunk), pass };
}

t.test('chunks wait for others, but not for long', async t => {
  const { gone, store, pass } = scene();
  store(1);
  await pass(GATHER_MS - 1);
  store(2);
  t.same(gone, []);
  await pass(1);
  t.same(gone, [1, 2]);
});

t.test('many do not wait at all', async t => {
  const { gone, store, pass } = scene();
  for (let chunk = 0; chunk < MANY; chunk += 1) store(chunk);
  await pass(0);
  t.equal(gone.length, MANY);
});

t.test('where somebody waited for the chunk before, the next one sets out at once, and no more', async t => {
  const { gathering, gone, store, pass } = scene();
  store(1);
  gathering.setOut();
  await pass(0);
  t.same(gone, [1]);
  store(2);
  store(3);
  await pass(0);
  t.same(gone, [1, 2], 'nobody has waited since');
  await pass(GATHER_MS);
  t.same(gone, [1, 2, 3]);
  store(4);
  await pass(0);
  t.same(gone, [1, 2, 3]);
});
