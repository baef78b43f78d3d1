/** Order survives kill -9 of a mount: who finds a marker, before or after, finds the file that was written before it. */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startCluster, type MountProcess } from '../support/cluster.js';
import { nextOutput } from '../support/next-output.js';
import { withOpenFuseDevice } from '../support/open-fuse-device.js';

const ROUNDS = 2;
const FILE_BYTES = 20_000;
/** The writer says so when it has made so many files; it is alone until then, and answered ahead of the server. */
const FILES_ALONE = 40;

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) defineTests();

function defineTests(): void {
  const looks = [
    // A recall waits for everything that was made before it.
    { which: 'that another mount has seen', look: seenBefore, least: ROUNDS * FILES_ALONE },
    // The last ones may be gone with their mount.
    { which: 'that is found after a kill', look: seenAfter, least: ROUNDS },
  ];
  for (const { which, look, least } of looks) {
    t.test(`a marker ${which} is there with its file`, { timeout: 240_000 }, async t => {
      const { mounts } = await startCluster(t, { dataNodes: 2, mounts: 2, goal: 1 });
      const [writer, looker] = mounts;
      if (!writer || !looker) throw new Error('two mounts were asked for');
      let seen = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const made = await markUntilKilled(writer, looker, `round${round}`, look);
        seen += made.length;
        for (const name of made) {
          const content = await readFile(`${looker.mountPoint}/round${round}/logs/${name}`, 'latin1');
          t.equal(content, contentOf(name), `the file of marker ${name} is whole`);
        }
        await writer.start();
      }
      t.ok(seen >= least, `${seen} markers were seen`);
    });
  }
}

type Look = (writer: MountProcess, markers: string) => Promise<string[]>;

/** The markers that the other mount has seen at the moment at which their maker is killed. */
async function seenBefore(writer: MountProcess, markers: string): Promise<string[]> {
  const seen = await readdir(markers);
  await writer.kill9();
  return seen;
}

/** The markers that are left by a mount that was killed while it had them to itself. */
async function seenAfter(writer: MountProcess, markers: string): Promise<string[]> {
  await writer.kill9();
  return await readdir(markers);
}

/** Has a program write files and markers, and its mount killed; returns the markers that the other one has seen. */
async function markUntilKilled(
  writer: MountProcess,
  looker: MountProcess,
  directory: string,
  look: Look,
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
    return await look(writer, `${looker.mountPoint}/${directory}/markers`);
  } finally {
    program.kill('SIGKILL');
  }
}

function contentOf(name: string): string {
  return `${name}\n`.repeat(FILE_BYTES).slice(0, FILE_BYTES);
}
