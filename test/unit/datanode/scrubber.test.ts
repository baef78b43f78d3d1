/** docs/decisions/06: everything is read over time, at a pace, and a restart goes on where it was. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Scrubber } from '../../../src/datanode/scrubber.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { createLogger } from '../../../src/platform/log.js';
import { ManualClock } from '../../support/manual-clock.js';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

interface Fixture {
  readonly clock: ManualClock;
  readonly directory: string;
  /** Chunks in the order in which they were read. */
  readonly read: number[];
  readonly start: (chunks: readonly number[], periodMs?: number) => Promise<Scrubber>;
  /** Lets time pass, a minute at a time, and the work of that time be done. */
  readonly pass: (ms: number) => Promise<void>;
}

async function fixture(t: Test): Promise<Fixture> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-scrub-'));
  t.teardown(async () => await rm(directory, { recursive: true }));
  await writeFile(join(directory, 'node.json'), '{}');
  const clock = new ManualClock();
  const read: number[] = [];
  const scrubbers: Scrubber[] = [];
  return {
    clock,
    directory,
    read,
    start: async (chunks, periodMs = DAY_MS) => {
      const scrubber = new Scrubber({
        disk: nodeDisk,
        clock,
        log: createLogger('test', 'silent'),
        directory,
        periodMs,
        chunkIds: () => Float64Array.from(chunks),
        verify: async chunk => {
          read.push(chunk);
          return 1000;
        },
      });
      await scrubber.start();
      scrubbers.push(scrubber);
      t.teardown(async () => await scrubber.close());
      return scrubber;
    },
    pass: async ms => {
      for (let left = ms; left > 0; left -= MINUTE_MS) {
        clock.advance(MINUTE_MS);
        for (const scrubber of scrubbers) await scrubber.settled();
        // The next timer is set in the turn after.
        await new Promise<void>(resolve => setImmediate(resolve));
      }
    },
  };
}

t.test('every chunk is read once in the time given, in order', async t => {
  const { start, pass, read } = await fixture(t);
  const chunks = Array.from({ length: 100 }, (_, index) => 10 + index * 3);
  const scrubber = await start(chunks, 3 * 3_600_000);
  await pass(2 * MINUTE_MS);
  t.ok(read.length > 0 && read.length < 20, `${read.length} after two minutes: it does not hurry`);
  await pass(3 * 3_600_000);
  t.same(read.slice(0, chunks.length), chunks);
  t.ok(scrubber.state.completedMs > 0, 'it says when everything was read');
});

t.test('what is stored while everything is read is read in the same pass', async t => {
  const { start, pass, read } = await fixture(t);
  const chunks = Array.from({ length: 100 }, (_, index) => index + 1);
  const scrubber = await start(chunks);
  await pass(10 * MINUTE_MS);
  chunks.push(1000);
  await pass(3 * 3_600_000);
  t.ok(scrubber.state.completedMs > 0);
  t.same(read.slice(0, 101), chunks);
});

t.test('a restart goes on where the last process stopped', async t => {
  const { start, pass, read } = await fixture(t);
  const chunks = Array.from({ length: 50 }, (_, index) => index + 1);
  const first = await start(chunks);
  await pass(10 * MINUTE_MS);
  await first.close();
  const before = read.length;
  t.ok(before > 3 && before < 40);
  await start(chunks);
  await pass(60 * MINUTE_MS);
  t.same(read.slice(0, chunks.length), chunks, 'none is left out, and none read twice');
});

t.test("nothing is left in a directory that is not the node's any more", async t => {
  const { start, pass, directory } = await fixture(t);
  const scrubber = await start([7]);
  await pass(3 * MINUTE_MS);
  for (const name of await readdir(directory)) await rm(join(directory, name));
  await scrubber.close();
  t.same(await readdir(directory), []);
});

t.test('a damaged state begins a new pass, and 0 days turn it off', async t => {
  const { start, pass, read, directory } = await fixture(t);
  await writeFile(join(directory, 'scrub.json'), '{"after": "x"');
  await start([7]);
  await pass(3 * MINUTE_MS);
  t.ok(read.includes(7));
  const off = await fixture(t);
  await off.start([7], 0);
  await off.pass(5 * MINUTE_MS);
  t.same(off.read, []);
});
