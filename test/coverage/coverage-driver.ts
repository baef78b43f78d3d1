/**
 * `npm run coverage [-- TEST…]`: runs tests, by default those in test/unit, and prints which part of src they reach. Node
 * itself measures (NODE_V8_COVERAGE), in every process that a test starts and that ends by itself: servers, mounts and
 * commands too, but not what is killed.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { Report } from 'c8';
import { inClone } from '../support/programs.js';
import { coverageTable, type CoverageSummary } from './coverage-table.js';

const DIRECTORY = inClone('build/coverage');
const MEASURED = `${DIRECTORY}/processes`;
const UNIT_TESTS = 'build/test/unit/**/*.test.js';
const FILES_SHOWN = 30;
/** What tsc makes of a module without values: comments, and a mark that it is a module. */
const EMPTY_MODULE = /^(?:\/\*(?:[^*]|\*(?!\/))*\*\/|\/\/[^\n]*|\s)*export \{\};\s*(?:\/\/[^\n]*\s*)?$/;

/** Modules of types: nothing of them runs. */
async function typesAlone(): Promise<string[]> {
  const modules = globSync('build/src/**/*.js');
  const contents = await Promise.all(modules.map(async path => await readFile(path, 'utf8')));
  return modules.filter((_, at) => EMPTY_MODULE.test(contents[at] ?? ''));
}

async function summarize(): Promise<CoverageSummary> {
  const options = {
    tempDirectory: MEASURED,
    reportsDirectory: DIRECTORY,
    reporter: ['json-summary', 'html'],
    include: ['build/src/**'],
    exclude: await typesAlone(),
    // Also what no process has read.
    all: true,
    src: [inClone('build/src')],
    resolve: '',
    // One process's figures after the other: all at once they need gigabytes.
    mergeAsync: true,
  };
  await new Report(options).run();
  return JSON.parse(await readFile(`${DIRECTORY}/coverage-summary.json`, 'utf8')) as CoverageSummary;
}

process.chdir(inClone('.'));
await rm(DIRECTORY, { recursive: true, force: true });
const asked = process.argv.slice(2);
const tests = asked.length > 0 ? asked : globSync(UNIT_TESTS);
const tap = inClone('node_modules/.bin/tap');
const { status } = spawnSync(process.execPath, [tap, 'run', ...tests], {
  stdio: 'inherit',
  env: { ...process.env, NODE_V8_COVERAGE: MEASURED },
});
process.stdout.write(`\n${coverageTable(await summarize(), inClone('src/'), FILES_SHOWN)}`);
process.stdout.write(`Each line: ${DIRECTORY}/index.html\n`);
process.exitCode = status ?? 1;
