/** Runs a command line: exit code 0 when it is done, 1 when it failed, 2 when it was called wrongly. */
import yargs from 'yargs';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Command } from './command.js';
import { OutputClosed } from './standard-output.js';
import { UsageError } from './usage-error.js';
import { readVersion } from './version.js';

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;
const HELP_COLUMNS = 110;

/** yargs hands plural forms on to y18n, which its types do not know. */
const MISSING_ARGUMENTS = {
  one: 'an argument is missing: there are %s, and at least %s are needed',
  other: 'arguments are missing: there are %s, and at least %s are needed',
} as unknown as string;

/** Stands for an argument that is one dash, which yargs would hand on as nothing. No argument can hold a NUL itself. */
export const LONE_DASH = '\0-';

/** @param parameters what stands after the program's name */
export async function runProgram(
  name: string,
  commands: readonly Command[],
  parameters: readonly string[],
): Promise<number> {
  try {
    await parse(name, commands, parameters);
    return DONE;
  } catch (error) {
    const [first] = parameters;
    const isSubcommand = commands.length > 1 && commands.some(command => command.name === first);
    return tell(isSubcommand ? `${name} ${first}` : name, error);
  }
}

async function parse(
  name: string,
  commands: readonly Command[],
  parameters: readonly string[],
): Promise<void> {
  const isWholeProgram = commands.length === 1;
  let program = yargs(parameters.map(parameter => (parameter === '-' ? LONE_DASH : parameter)))
    .scriptName(name)
    .detectLocale(false)
    .exitProcess(false)
    .version(readVersion())
    .alias({ help: 'h' })
    .parserConfiguration({ 'duplicate-arguments-array': false, 'parse-positional-numbers': false })
    .updateStrings({ 'Not enough non-option arguments: got %s, need at least %s': MISSING_ARGUMENTS })
    .strict()
    .wrap(Math.min(HELP_COLUMNS, process.stdout.columns ?? HELP_COLUMNS))
    .fail((message, error) => {
      throw error ?? new UsageError(message);
    });
  for (const command of commands) program = command.addTo(program, isWholeProgram);
  if (!isWholeProgram) program = program.demandCommand(1, 'a command is missing');
  await program.parseAsync();
}

function tell(name: string, error: unknown): number {
  if (error instanceof OutputClosed) return DONE;
  if (isUsageError(error)) {
    // yargs writes lists of choices over several lines.
    const sentence = error.message.replaceAll(/\s*\n\s*/g, ' ').trim();
    process.stderr.write(`${name}: ${sentence}\nTry '${name} --help'.\n`);
    return WRONG_USAGE;
  }
  const reason = toDfsError(error);
  process.stderr.write(`${name}: ${reason.message}\n`);
  if (isBug(error))
    process.stderr.write(`This is a mistake in DFS; please report it.\n${error.stack ?? ''}\n`);
  return FAILED;
}

/** Ours, or what yargs throws for a wrong command line. */
function isUsageError(error: unknown): error is Error {
  return error instanceof UsageError || (error instanceof Error && error.name === 'YError');
}

/** Neither one of our sentences nor an answer of the operating system. */
function isBug(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof DfsError) && !('code' in error);
}
