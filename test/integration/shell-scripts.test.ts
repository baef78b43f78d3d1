/** shellcheck(1) finds nothing in the shell scripts of this clone, nor in those that DFS itself runs. */
import { readdir, readFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { LAUNCH_SCRIPT } from '../../src/cli/services/launch.js';
import { GUARD_SCRIPT } from '../../src/fuse/kernel/mount-guard.js';
import { inClone } from '../support/programs.js';

/** Where scripts are, besides those beside package.json. */
const DIRECTORIES = ['.ci', 'bin', 'packaging', 'src', 'test'];
const SHEBANG = /^#!.*\b(?:ba|da)?sh\b/;
/** A program in JavaScript that a shell starts: it reads two lines, and the second one ends with `exec`. */
const POLYGLOT = /^#![^\n]*\n':' [^\n]*; exec [^\n]*\n/;

interface Script {
  readonly path: string;
  /** What a shell reads of it. */
  readonly text: string;
}

async function scripts(): Promise<Script[]> {
  const beside = await readdir(inClone('.'), { withFileTypes: true });
  const below = await Promise.all(
    DIRECTORIES.map(
      async directory => await readdir(inClone(directory), { withFileTypes: true, recursive: true }),
    ),
  );
  const files = [...beside, ...below.flat()].filter(entry => entry.isFile());
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    const content = await readFile(path, 'utf8');
    return { path, text: POLYGLOT.exec(content)?.[0] ?? content };
  });
  return (await Promise.all(read)).filter(({ path, text }) => SHEBANG.test(text) || path.endsWith('.sh'));
}

/**
 * A loop that reads a file of the kernel line by line. bash reads a block and seeks back to the end of the line, and
 * what stands there has changed if, say, somebody mounted meanwhile: a line of the mount table begins in its middle.
 */
const READ_LINE_BY_LINE = /^\s*done.*<\s*"?\/(?:proc|sys)\//m;

/** What shellcheck(1) says of a script. */
function complaints(text: string, ...options: readonly string[]): string {
  const parameters = ['--external-sources', `--source-path=${inClone('bin')}`, ...options, '-'];
  const { stdout, stderr, error } = spawnSync('shellcheck', parameters, { input: text, encoding: 'utf8' });
  if (error) throw error;
  return stdout + stderr;
}

t.test('every script', async t => {
  const all = await scripts();
  const names = new Set(all.map(({ path }) => path.slice(inClone('').length)));
  for (const expected of ['mount.sh', '.ci/run', 'bin/dfs', 'bin/node', 'bin/node-choice.sh'])
    t.ok(names.has(expected), `${expected} is among them`);
  for (const { path, text } of all) {
    t.equal(complaints(text), '', path);
    t.notMatch(text, READ_LINE_BY_LINE, path);
  }
});

t.test('what unmounts after a daemon that was killed', async t => {
  t.equal(complaints(GUARD_SCRIPT, '--shell=sh'), '');
  t.notMatch(GUARD_SCRIPT, READ_LINE_BY_LINE);
});

t.test('what becomes a service', async t => {
  t.equal(complaints(LAUNCH_SCRIPT, '--shell=sh'), '');
});

t.test('mount.sh only prepares: a person reads it in a minute', async t => {
  const text = await readFile(inClone('mount.sh'), 'utf8');
  t.ok(text.split('\n').length - 1 <= 120);
});

t.test('a mistake is found, also in a file that a script reads', async t => {
  t.match('while read -r line; do :\ndone </proc/self/mountinfo\n', READ_LINE_BY_LINE);
  t.match(complaints('#!/bin/sh\nrm $1\n'), /SC2086/);
  t.match(
    complaints('#!/bin/sh\n. "${0%/*}/node-choice.sh"\nchoose_node\necho "$node" $nodes\n'),
    /SC2154.*nodes/,
  );
});
