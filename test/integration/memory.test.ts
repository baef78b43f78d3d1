/** The memory of a mount is bounded, however many files pass through it (README, "How much memory it takes"). */
import { readFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { startCluster } from '../support/cluster.js';

const DIRECTORIES = 24;
const FILES_EACH = 1000;
const CONTENT = 'x'.repeat(70);
/**
 * What a mount takes at the start, V8's young generation, and what garbage may take; some 45 MiB more than was measured (282 to 325
 * from run to run).
 */
const BASE_MIB = 370;
const CACHE_MIB = 4;
/** Inodes that the kernel knows: what a tenth of that has room for, and as many again on their way. */
const MAX_KNOWN = 12_000;

async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

await t.test('a mount with a small cache makes, lists and reads 24,000 files in bounded memory', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 1,
    goal: 1,
    mountOptions: [`--cache-size=${CACHE_MIB}M`, '--log-level=debug'],
  });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('a mount was asked for');
  const { mountPoint, pid } = mount;
  let mostMib = 0;
  const look = async (): Promise<void> => {
    mostMib = Math.max(mostMib, await residentMib(pid));
  };
  const directories = Array.from({ length: DIRECTORIES }, (_, index) => join(mountPoint, `d${index}`));
  for (const directory of directories) {
    mkdirSync(directory);
    for (let file = 0; file < FILES_EACH; file += 1) writeFileSync(join(directory, `file${file}`), CONTENT);
    await look();
  }
  for (const directory of directories) {
    const names = readdirSync(directory);
    if (names.length !== FILES_EACH) t.fail(`${directory} has ${names.length} files`);
    for (const name of names) {
      const path = join(directory, name);
      if (statSync(path).size !== CONTENT.length) t.fail(`${path} has ${statSync(path).size} bytes`);
    }
    await look();
  }
  for (const directory of directories) {
    for (let file = 0; file < FILES_EACH; file += 10) {
      const path = join(directory, `file${file}`);
      if (readFileSync(path, 'utf8') !== CONTENT) t.fail(`${path} has another content`);
    }
    await look();
  }
  t.ok(mostMib < BASE_MIB + CACHE_MIB, `${Math.round(mostMib)} MiB at the most`);
  const asked = [
    ...readFileSync(mount.logPath, 'utf8').matchAll(/"known":(\d+),"asked":\d+,"result":(-?\d+)/g),
  ];
  t.ok(asked.length > 0, 'the mount wants the kernel to forget');
  if (asked.some(([, , result]) => result !== '0')) {
    t.comment('this kernel cannot be asked to forget');
    return;
  }
  const mostKnown = Math.max(...asked.map(([, known]) => Number(known)));
  t.ok(
    mostKnown < MAX_KNOWN,
    `the mount remembered ${mostKnown} of ${DIRECTORIES * FILES_EACH} inodes at the most`,
  );
});
