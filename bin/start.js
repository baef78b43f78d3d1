'use strict';
/**
 * Loads the build and runs one program of it; without a build it says what to do. CommonJS, because libuv reads the
 * size of its thread pool before the first line of an ES module runs.
 *
 * The programs beside it are shell scripts in their second line, which the shell follows to the right Node and no
 * further, and JavaScript in the others.
 */
const { existsSync, statSync, writeFileSync } = require('node:fs');
const { enableCompileCache } = require('node:module');
const { basename, join } = require('node:path');
const { pathToFileURL } = require('node:url');

const MAJOR = Number.parseInt(process.versions.node, 10);
/** As in node-choice.sh. */
const OLDEST_NODE = 22;
const WRITABLE_BY_OTHERS = 0o022;

// The kernel driver's readers alone take three of the four that there would be.
process.env.UV_THREADPOOL_SIZE ??= '8';

/** @param {string} program the executable's name */
exports.start = async function start(program) {
  const root = join(__dirname, '..');
  if (MAJOR < OLDEST_NODE) {
    const cure = `run ${join(__dirname, program)} itself, which finds one`;
    process.stderr.write(`${program}: Node ${process.version} is too old; ${cure}\n`);
    process.exit(1);
  }
  const entry = join(root, 'build/bundle/bin/main.js');
  // Where DFS was installed as a package, what it needs may lie beside it.
  const isInstalled = existsSync(join(root, 'node_modules')) || basename(join(root, '..')) === 'node_modules';
  if (!existsSync(entry) || !isInstalled) {
    process.stderr.write(`${program}: DFS is not built yet; run \`npm ci && npm run build\` in ${root}\n`);
    process.exit(1);
  }
  nameProcess(program);
  keepCompiledCode(join(root, 'build/bundle'));
  const { main } = await import(pathToFileURL(entry).href);
  await main(program);
};

/**
 * Node keeps what V8 compiled beside the code that it was compiled from, in a folder that goes with the next build. Only where
 * nobody but this user may write: the compiled code is believed as the code is. It may be missing or outdated at any time.
 * @param {string} bundle
 */
function keepCompiledCode(bundle) {
  const { uid, mode } = statSync(bundle);
  if (uid === process.getuid?.() && (mode & WRITABLE_BY_OTHERS) === 0)
    enableCompileCache?.(join(bundle, 'compiled'));
}

/**
 * What `ps` and `top` show: Node 24 calls its main thread "MainThread".
 * @param {string} program
 */
function nameProcess(program) {
  try {
    writeFileSync('/proc/self/comm', program);
  } catch {
    // Not Linux, or no /proc.
  }
}
