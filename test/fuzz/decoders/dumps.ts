/** Dumps of the metadata, of which `dfs load` makes a database (src/metadata/dump/load.ts). */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { dumpDatabase } from '../../../src/metadata/dump/dump.js';
import { loadDatabase } from '../../../src/metadata/dump/load.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { DfsError } from '../../../src/protocol/errors.js';
import type { SeededRandom } from '../../simulation/world/seeded-random.js';
import { promise, type Decoder } from '../decoder.js';
import { linesOf } from '../../support/dump-lines.js';

const MEMORY = '/dev/shm';
const CHANCE_OF_A_ROUND_TRIP = 0.05;

/** Databases are made in memory: each is put on stable storage. */
export async function dumps(): Promise<Decoder> {
  const directory = mkdtempSync(join(MEMORY, 'dfs-fuzz-dumps-'));
  const made = join(directory, 'made.db');
  await createDatabase(made, { clock: systemClock, random: systemRandom });
  const whole = await textOf(made);
  const path = join(directory, 'loaded.db');
  return {
    name: 'dumps',
    words: [
      '{"table":"settings","row":{"name":"x","value":"y"}}\n',
      '{"table":"sqlite_schema","row":{"type":"table"}}\n',
      '{"table":"inodes","row":{"inode":2}}\n',
      '{"table":"',
      '"row":{',
      '"base64":"',
      '"end":true',
      '"rows":',
      '"schema":',
      '"__proto__":',
      '\n',
    ],
    maxInputBytes: 2 * whole.length,
    make: random => Buffer.from(someLines(whole, random)),
    mend: input => Buffer.from(withCount(input.toString('utf8'))),
    async decode(input) {
      rmSync(path, { force: true });
      const { rows } = await loadDatabase(linesOf(input.toString('utf8')), path, systemRandom);
      promise(Number.isSafeInteger(rows) && rows >= 0, 'rows are counted');
      // One in so many, by what the input is, so that it is the same each time.
      if (input.length % Math.round(1 / CHANCE_OF_A_ROUND_TRIP) !== 0) return;
      const dumped = await textOf(path);
      rmSync(path, { force: true });
      await loadDatabase(linesOf(dumped), path, systemRandom);
      promise((await textOf(path)) === dumped, 'a dump of what was loaded from a dump is another one');
    },
    mayThrow: error => error instanceof DfsError && error.code === 'EINVAL',
    close: async () => {
      rmSync(directory, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}

async function textOf(path: string): Promise<string> {
  let text = '';
  for await (const block of dumpDatabase(path, true)) text += block;
  return text;
}

/** All lines, or most. */
function someLines(text: string, random: SeededRandom): string {
  const lines = text.split('\n');
  return lines.filter((_, index) => index === 0 || !random.isChance(0.03)).join('\n');
}

/** The last line tells how many rows there are. */
function withCount(text: string): string {
  const lines = text.split('\n');
  const rows = lines.filter(line => line.includes('"table"')).length;
  return lines.map(line => (line.includes('"end"') ? JSON.stringify({ end: true, rows }) : line)).join('\n');
}
