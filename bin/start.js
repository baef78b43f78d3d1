'use strict';
/**
 * Loads the build and runs one program of it; without a build it says what to do. CommonJS, because libuv reads the
 * size of its thread pool before the first line of an ES module runs.
 */
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

// The kernel driver's readers alone take three of the four that there would be.
process.env.UV_THREADPOOL_SIZE ??= '8';

/** @param {string} program the executable's name */
exports.start = async function start(program) {
  const root = join(__dirname, '..');
  const entry = join(root, 'build/bundle/bin/main.js');
  if (!existsSync(entry) || !existsSync(join(root, 'node_modules'))) {
    process.stderr.write(`${program}: DFS is not built yet; run \`npm ci && npm run build\` in ${root}\n`);
    process.exit(1);
  }
  const { main } = await import(pathToFileURL(entry).href);
  await main(program);
};
