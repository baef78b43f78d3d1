/**
 * Ends the process with a sentence where Node is too old for DFS: better-sqlite3 brings such a one down with a segmentation
 * fault. Imported for that alone.
 */
import { fileURLToPath } from 'node:url';

/** As in bin/node-choice.sh. */
const OLDEST_MAJOR = 22;

if (Number.parseInt(process.versions.node, 10) < OLDEST_MAJOR) {
  const cure = `use npx or npm run, or ${fileURLToPath(new URL('../../../node_modules/.bin/node', import.meta.url))}`;
  process.stderr.write(`Node ${process.version} is too old for DFS, which brings a newer one: ${cure}\n`);
  process.exit(1);
}
