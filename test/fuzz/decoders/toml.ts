/** Configuration files of services (src/cli/config-file.ts). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataNode } from '../../../src/cli/commands/data-node.js';
import { withConfigFile } from '../../../src/cli/config-file.js';
import { UsageError } from '../../../src/cli/usage-error.js';
import { promise, type Decoder } from '../decoder.js';

const MEMORY = '/dev/shm';
const LINES = [
  'server = "10.0.0.1:8000"   # the metadata server',
  'port = 9000',
  'path = "/srv/dfs"',
  'cache-size = "16M"',
  'scrub-days = 7.5',
  'log-level = "debug"',
  'domain = \'rack "1"\'',
  'host = """\n::1"""',
];

export function toml(): Decoder {
  const directory = mkdtempSync(join(MEMORY, 'dfs-fuzz-toml-'));
  const path = join(directory, 'node.toml');
  return {
    name: 'toml',
    words: [
      ' = ',
      '[',
      ']',
      '[[a]]',
      '"""',
      "'''",
      '\\u0000',
      '\\U0010FFFF',
      '{ a = 1 }',
      '1979-05-27T07:32:00Z',
      'inf',
      'nan',
      '0x',
      '_',
      '#',
      '\n',
      '__proto__',
      '.',
    ],
    make: random => Buffer.from(LINES.filter(() => random.isChance(0.6)).join('\n')),
    decode(input) {
      writeFileSync(path, input);
      const all = withConfigFile(dataNode, ['--config', path]);
      promise(
        all.every(each => typeof each === 'string' && each !== ''),
        'every argument is a text',
      );
      const options = all.filter(each => each.startsWith('-') && each !== '--config');
      promise(
        options.every(each => /^--(no-)?[a-z-]+(=|$)/.test(each)),
        'a file gives options by their whole names',
      );
    },
    mayThrow: error => error instanceof UsageError,
    close: async () => {
      rmSync(directory, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}
