/** Every cache of a client counts what its entries really cost, and keeps to its share (client/caches/cache-budget.ts). */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';

/** The Map below a cache doubles at once, so that its entries cost more just after that. */
const MAX_ERROR = 0.3;

interface Measured {
  readonly limitBytes: number;
  readonly usedBytes: number;
  readonly realBytes: number;
}

const script = fileURLToPath(new URL('support/fill-caches.js', import.meta.url));
const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script]);
const results = JSON.parse(stdout) as Record<string, Measured>;

for (const [name, { limitBytes, usedBytes, realBytes }] of Object.entries(results)) {
  await t.test(
    `${name}: filled a hundred times over they keep to their share, and cost what is counted`,
    async t => {
      t.ok(usedBytes <= limitBytes, `${usedBytes} of ${limitBytes} bytes are counted`);
      t.ok(usedBytes > limitBytes / 2, 'and it is made use of');
      const error = Math.abs(realBytes - usedBytes) / usedBytes;
      t.ok(error <= MAX_ERROR, `${realBytes} bytes were taken for ${usedBytes} that are counted`);
    },
  );
}

t.equal(Object.keys(results).length, 12, 'every cache was filled');
