/** Order survives kill -9 of a mount: who has seen a marker finds the file that was written before it. */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startCluster, type MountProcess } from '../support/cluster.js';
import { nextOutput } from '../support/next-output.js';
import { withOpenFuseDevice } from '../support/open-fuse-device.js';

const ROUNDS = 3;
const FILE_BYTES = 20_000;
/** The writer says so when it has made so many files; it is alone until then, and answered ahead of the server. */
const FILES_ALONE = 40;

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) defineTests();

function defineTests(): void {
  t.test('a marker that another mount has seen is there with its file', { timeout: 240_000 }, async t => {
    const { mounts } = await startCluster(t, { dataNodes: 2, mounts: 2, goal: 1 });
    const [writer, looker] = mounts;
    if (!writer || !looker) throw new Error('two mounts were asked for');
    let seen = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const made = await markUntilSeen(writer, looker, `round${round}`);
      seen += made.length;
      for (const name of made) {
        const content = await readFile(`${looker.mountPoint}/round${round}/logs/${name}`, 'latin1');
        t.equal(content, contentOf(name), `the file of marker ${name} is whole`);
      }
      await writer.start();
    }
    t.ok(seen >= ROUNDS * FILES_ALONE, `${seen} markers were seen`);
  });
}

/** Has a program write files and markers; kills its mount at the moment at which the other one has seen markers: these. */
async function markUntilSeen(
  writer: MountProcess,
  looker: MountProcess,
  directory: string,
): Promise<string[]> {
  const script = `
    mkdir "$1" "$1/logs" "$1/markers" || exit
    i=0
    while yes "$i" | head -c ${FILE_BYTES} >"$1/logs/$i" && : >"$1/markers/$i"; do
      i=$((i+1))
      [ $i -ne ${FILES_ALONE} ] || echo enough
    done 2>/dev/null`;
  const program = spawn('sh', ['-c', script, 'writer', `${writer.mountPoint}/${directory}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    cwd: '/',
  });
  try {
    await nextOutput(program);
    const seen = await readdir(`${looker.mountPoint}/${directory}/markers`);
    await writer.kill9();
    return seen;
  } finally {
    program.kill('SIGKILL');
  }
}

function contentOf(name: string): string {
  return `${name}\n`.repeat(FILE_BYTES).slice(0, FILE_BYTES);
}
