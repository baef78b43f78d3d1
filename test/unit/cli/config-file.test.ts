/** Arguments from a file (cli/config-file.ts). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { COMMANDS } from '../../../src/cli/commands.js';
import { dataNode } from '../../../src/cli/commands/data-node.js';
import { metaData } from '../../../src/cli/commands/meta-data.js';
import { nodes } from '../../../src/cli/commands/nodes.js';
import { withConfigFile } from '../../../src/cli/config-file.js';
import { declaredArguments } from '../../../src/cli/declared-arguments.js';
import { UsageError } from '../../../src/cli/usage-error.js';

const directory = mkdtempSync(join(tmpdir(), 'dfs-config-'));
const path = join(directory, 'node.toml');
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

/** What data-node would be called with, when the file holds this text. */
function expanded(text: string, ...typed: string[]): readonly string[] {
  writeFileSync(path, text);
  return withConfigFile(dataNode, ['--config', path, ...typed]);
}

function refusal(text: string, ...typed: string[]): string {
  try {
    expanded(text, ...typed);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

const WHOLE = `
server = "10.0.0.1:8000"   # the metadata server
port = 9000
path = "/srv/dfs"
cache-size = "16M"
scrub-days = 7.5
`;

t.test('a file gives positional arguments and options alike', async t => {
  t.strictSame(expanded(WHOLE), [
    '--scrub-days=7.5',
    '--cache-size=16M',
    '--config',
    path,
    '10.0.0.1:8000',
    '9000',
    '/srv/dfs',
  ]);
});

t.test('the command line goes first', async t => {
  const given = expanded(WHOLE, '10.0.0.2', '--cache-size', '32M', '9001');
  // Of two equal options yargs takes the last.
  t.strictSame(given.slice(given.indexOf('--config') + 2), [
    '--cache-size',
    '32M',
    '10.0.0.2',
    '9001',
    '/srv/dfs',
  ]);
  t.ok(given.indexOf('--cache-size=16M') < given.indexOf('--cache-size'));
});

t.test('--config=FILE, and an option without a file', async t => {
  writeFileSync(path, 'port = 8001\nnew-key = false\n');
  t.strictSame(withConfigFile(metaData, [`--config=${path}`]), ['--no-new-key', `--config=${path}`, '8001']);
  t.strictSame(withConfigFile(metaData, ['8001', '--host', '::1']), ['8001', '--host', '::1']);
  t.strictSame(withConfigFile(nodes, ['--config', path]), ['--config', path], 'a command that takes none');
});

t.test('what is wrong in a file is told in one sentence with the file and the key', async t => {
  const cases: readonly (readonly [text: string, sentence: string])[] = [
    ['cache-sise = "16M"', `${path}: there is no key 'cache-sise'; did you mean 'cache-size'?`],
    ['config = "other.toml"', `${path}: there is no key 'config'`],
    ['port = true', `${path}: port has to be a string or a number, and is true`],
    ['path = ["/a", "/b"]', `${path}: path has to be a string or a number, and is a list`],
    ['[path]\na = 1', `${path}: path has to be a string or a number, and is a table`],
    ['port = 1979-05-27', `${path}: port has to be a string or a number, and is a date`],
    ['port = 99999', `${path}: port: '99999' is not a port`],
    ['cache-size = "much"', `${path}: cache-size: 'much' is not a size`],
    ['path = "-x"', `${path}: path must not begin with a dash`],
    ['path = ""', `${path}: path is empty`],
    ['log-level = "loud"', `${path}: log-level is 'loud', and has to be one of`],
    ['path = "/a"\ndatapath = "/b"', `${path}: datapath is given twice`],
    ['port = 1\nport = 2', `${path}, line 2, column`],
    ['port 9000', `${path}, line 1, column`],
    ['server = "10.0.0.1"\nport = 9000', `an argument is missing, datapath`],
  ];
  for (const [text, sentence] of cases) {
    const told = refusal(text);
    t.ok(told.startsWith(sentence), `${text} → ${told}`);
    t.notMatch(told, /\n/);
  }
});

t.test('a boolean takes true and false alone', async t => {
  writeFileSync(path, 'new-key = "yes"');
  t.throws(() => withConfigFile(metaData, ['--config', path]), {
    message: `${path}: new-key has to be true or false, and is a string`,
  });
});

t.test('a file that is not there', async t => {
  const absent = join(directory, 'absent.toml');
  t.throws(() => withConfigFile(metaData, ['--config', absent]), {
    code: 'ENOENT',
    message: `cannot read the configuration file ${absent}: there is no ${absent}`,
  });
});

t.test('every command declares what its usage names, and describes each option', async t => {
  for (const command of COMMANDS) {
    const { positionals, options } = declaredArguments(command, `dfs ${command.name}`);
    t.equal(positionals.length, command.positionals.split(' ').filter(Boolean).length, command.name);
    for (const { name, description } of options) t.ok(description, `${command.name} --${name}`);
  }
});
