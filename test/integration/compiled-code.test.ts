/** The programs keep what V8 compiled for their next start, beside the build, and only where nobody else can write. */
import { chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { environmentFor, inClone, runFile } from '../support/programs.js';

const OWN = 0o755;

/** DFS's folder bin beside a build that only says something. */
async function makeClone(test: Test): Promise<string> {
  const clone = await mkdtemp(join(tmpdir(), 'dfs-compiled-code-'));
  test.teardown(async () => await rm(clone, { recursive: true, force: true }));
  await cp(inClone('bin'), join(clone, 'bin'), { recursive: true });
  await mkdir(join(clone, 'node_modules'));
  await mkdir(join(clone, 'build/bundle/bin'), { recursive: true });
  await writeFile(join(clone, 'package.json'), '{ "type": "module" }');
  await writeFile(
    join(clone, 'build/bundle/bin/main.js'),
    'export function main(name) { process.stdout.write(name); }\n',
  );
  return clone;
}

/** Runs a program twice, and returns how many folders hold what was compiled. */
async function compiledFolders(test: Test, clone: string): Promise<number> {
  const env = {
    ...environmentFor(clone),
    NODE_COMPILE_CACHE: undefined,
    NODE_DISABLE_COMPILE_CACHE: undefined,
  };
  for (const start of ['first', 'second']) {
    const { code, stdout, stderr } = await runFile(process.execPath, [join(clone, 'bin/dfs')], { env });
    test.strictSame({ code, stdout, stderr }, { code: 0, stdout: 'dfs', stderr: '' }, start);
  }
  return (await readdir(join(clone, 'build/bundle/compiled')).catch(() => [])).length;
}

t.test('compiled code is kept beside a build that is the user’s own', async t => {
  const clone = await makeClone(t);
  await chmod(join(clone, 'build/bundle'), OWN);
  t.equal(await compiledFolders(t, clone), 1);
  await rm(join(clone, 'build/bundle/compiled'), { recursive: true });
  await writeFile(join(clone, 'build/bundle/compiled'), 'in the place of the folder');
  t.equal(await compiledFolders(t, clone), 0, 'where it cannot be kept, programs run all the same');
});

for (const [whose, mode] of [
  ['their group', 0o775],
  ['everybody', 0o757],
] as const) {
  t.test(`no compiled code is kept or believed where ${whose} can write`, async t => {
    const clone = await makeClone(t);
    await chmod(join(clone, 'build/bundle'), mode);
    t.equal(await compiledFolders(t, clone), 0);
  });
}
