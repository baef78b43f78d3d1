/** Manual pages and completions, made of what the commands declare (packaging/man-page.ts, packaging/completions.ts). */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { COMMANDS } from '../../../src/cli/commands.js';
import { defineCommand } from '../../../src/cli/command.js';
import { bashCompletion, fishCompletion, zshCompletion } from '../../../src/packaging/completions.js';
import { manPage, overviewPage } from '../../../src/packaging/man-page.js';
import { roff } from '../../../src/packaging/roff.js';

const EDITION = { version: '1.2.3', date: '2026-11-30' };

const sample = defineCommand({
  name: 'sample',
  positionals: '<action> [server]',
  summary: "Shows the user's options",
  declare: (yargs, call) =>
    yargs
      .positional('action', {
        choices: ['start', 'stop'] as const,
        demandOption: true,
        describe: 'what to do',
      })
      .positional('server', { type: 'string', describe: 'HOST[:PORT]' })
      .option('quiet', { alias: 'q', type: 'boolean', default: false, describe: 'say nothing' })
      .option('short-cut', { type: 'boolean', default: true, describe: 'take it' })
      .option('level', { choices: ['low', 'high'], default: 'low', describe: 'how much' })
      .option('file', { type: 'string', describe: String.raw`a path: C:\x, or 'y'` })
      .example([[`${call} start`, 'begins']])
      .epilog('.This line begins with a period.'),
  run: async () => undefined,
});

t.test('a page has every argument, with choices and default', async t => {
  const page = manPage(sample, EDITION);
  t.match(page, String.raw`.TH DFS\-SAMPLE 1 2026-11-30 "DFS 1.2.3" DFS`);
  t.match(page, String.raw`\fBdfs sample\fR \fIaction\fR [\fIserver\fR] [\fIoptions\fR]`);
  t.match(page, `.TP\n\\fB\\-q\\fR, \\fB\\-\\-quiet\\fR\nsay nothing\n`);
  t.match(page, `\\fB\\-\\-short\\-cut\\fR, \\fB\\-\\-no\\-short\\-cut\\fR\ntake it; default: on\n`);
  t.match(page, 'how much; one of low, high; default: low');
  t.match(page, String.raw`a path: C:\ex, or 'y'`);
  t.match(page, '.SH EXAMPLES\n.TP\n\\fBdfs sample start\\fR\nbegins');
  t.match(page, String.raw`\&.This line`, 'a period at the start of a line is no command');
});

t.test('text keeps every letter in a manual page', async t => {
  t.equal(roff(String.raw`a-b \n`), String.raw`a\-b \en`);
  t.equal(roff("'x\n.y"), String.raw`\&'x` + '\n' + String.raw`\&.y`);
});

t.test('every command has a page, and the overview names it', async t => {
  const overview = overviewPage(COMMANDS, EDITION);
  for (const command of COMMANDS) {
    t.match(overview, `\\fB${roff(command.name)}\\fR\n${roff(command.summary)}`);
    t.match(manPage(command, EDITION), `.SH NAME\n${roff(`dfs-${command.name}`)} \\- `);
  }
});

/** What bash offers for the last word. */
function offered(script: string, ...words: string[]): string[] {
  const code = `${script}\nCOMP_WORDS=("$@")\nCOMP_CWORD=$(($# - 1))\n_dfs\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', code, 'bash', ...words], {
    encoding: 'utf8',
  });
  if (stderr !== '') throw new Error(stderr);
  return stdout.split('\n').filter(Boolean);
}

t.test('bash completes commands, options, their values and actions', async t => {
  const script = bashCompletion([sample]);
  t.strictSame(offered(script, 'dfs', 'sa'), ['sample']);
  t.strictSame(offered(script, 'dfs', 'sample', '--'), [
    '--quiet',
    '--no-short-cut',
    '--level',
    '--file',
    '--help',
  ]);
  t.strictSame(offered(script, 'dfs', 'sample', '--level', ''), ['low', 'high']);
  t.strictSame(offered(script, 'dfs', 'sample', 'st'), ['start', 'stop']);
  t.strictSame(offered(script, 'dfs', 'sample', '--file', ''), [], 'left to the names of files');
  t.strictSame(offered(bashCompletion(COMMANDS), 'dfs', 'mount', '--driver', 'k'), ['kernel']);
});

t.test('zsh and fish are given the same, in their own quotes', async t => {
  const zsh = zshCompletion([sample]);
  t.match(zsh, String.raw`'sample:Shows the user'\''s options'`);
  t.match(zsh, "'--level=[how much]:level:(low high)'");
  t.match(zsh, "'--no-short-cut[take it]'");
  t.match(zsh, "'1:action:(start stop)'");
  const fish = fishCompletion([sample]);
  t.match(fish, String.raw`-a sample -d 'Shows the user\'s options'`);
  t.match(fish, "-l level -x -a 'low high' -d 'how much'");
  t.match(fish, String.raw`-l file -r -d 'a path: C:\\x, or \'y\''`);
});
