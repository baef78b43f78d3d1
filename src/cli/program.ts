/** Runs a command line: exit code 0 when it is done, 1 when it failed, 2 when it was called wrongly. */
import yargs from 'yargs';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { callingScriptName } from './called-as.js';
import type { Command } from './command.js';
import { withConfigFile } from './config-file.js';
import { FailureTold } from './failure-told.js';
import { endAtSignals } from './interruption.js';
import { nearestName } from './nearest-name.js';
import { OutputClosed, throwOutputFailure } from './standard-output.js';
import { UsageError } from './usage-error.js';
import { readVersion } from './version.js';

const DONE = 0;
const FAILED = 1;
export const WRONG_USAGE = 2;
const HELP_COLUMNS = 110;
const BUG_REPORT = 'this is a mistake in DFS; please report it, with what it prints under DFS_DEBUG=1';

/** yargs hands plural forms on to y18n, which its types do not know. */
const MISSING_ARGUMENTS = {
  one: 'an argument is missing: there are %s, and at least %s are needed',
  other: 'arguments are missing: there are %s, and at least %s are needed',
} as unknown as string;

const UNKNOWN_ARGUMENTS = {
  one: 'there is no such option or further argument: %s',
  other: 'there are no such options or further arguments: %s',
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
    checkParameters(name, commands, parameters);
    await parse(name, commands, withConfig(commands, parameters));
    await throwOutputFailure();
    return DONE;
  } catch (error) {
    return tell(calledName(name, commands, parameters), error);
  }
}

/** As the user has called it: the script before it, the program, or the program and its subcommand. */
function calledName(name: string, commands: readonly Command[], [first]: readonly string[]): string {
  const script = callingScriptName();
  if (script !== undefined) return script;
  const isSubcommand = commands.length > 1 && commands.some(command => command.name === first);
  return isSubcommand ? `${name} ${first}` : name;
}

/** What yargs would not say well, for all commands alike: no argument is empty, and the command exists. */
function checkParameters(name: string, commands: readonly Command[], parameters: readonly string[]): void {
  for (const [index, parameter] of parameters.entries()) {
    const [, option] = /^(--[^=]+)=$/.exec(parameter) ?? [];
    const before = parameters[index - 1];
    if (option !== undefined) throw new UsageError(`${option} is empty; give it a value, or leave it out`);
    if (parameter !== '') continue;
    const what = before?.startsWith('-') === true ? before : `argument ${index + 1}`;
    throw new UsageError(`${what} is empty; give it a value, or leave it out`);
  }
  const [first] = parameters;
  if (commands.length === 1 || first === undefined || first.startsWith('-')) return;
  const names = commands.map(command => command.name);
  if (names.includes(first)) return;
  const nearest = nearestName(first, names);
  const hint =
    nearest === undefined ? `the commands are ${names.join(', ')}` : `did you mean '${name} ${nearest}'?`;
  throw new UsageError(`there is no command '${first}'; ${hint}`);
}

/** With what a configuration file says, if one is named. */
function withConfig(commands: readonly Command[], parameters: readonly string[]): readonly string[] {
  const [first, ...others] = parameters;
  const [only] = commands;
  if (commands.length === 1 && only) return withConfigFile(only, parameters);
  const command = commands.find(each => each.name === first);
  return command ? [command.name, ...withConfigFile(command, others)] : parameters;
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
    .updateStrings({
      'Not enough non-option arguments: got %s, need at least %s': MISSING_ARGUMENTS,
      'Unknown argument: %s': UNKNOWN_ARGUMENTS,
    })
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
  if (error instanceof FailureTold) return error.exitCode;
  if (isUsageError(error)) {
    // yargs writes lists of choices over several lines.
    const sentence = oneLine(error.message);
    process.stderr.write(`${name}: ${sentence}\nTry '${name} --help'.\n`);
    return WRONG_USAGE;
  }
  const reason = toDfsError(error);
  const report = isBug(error) ? `; ${BUG_REPORT}` : '';
  process.stderr.write(`${name}: ${oneLine(reason.message)}${report}\n`);
  if (isBug(error) && isDebugging()) process.stderr.write(`${error.stack ?? ''}\n`);
  return FAILED;
}

/**
 * Has signals, and errors that nobody awaits, end the process with a sentence, as errors that reach runProgram() do.
 * Commands that have something to put in order listen to signals themselves (interruption.ts); servers and mounts, which
 * have a log, tell errors there (server-lifetime.ts).
 */
export function endWithSentence(
  name: string,
  commands: readonly Command[],
  parameters: readonly string[],
): void {
  const end = (error: unknown): void => process.exit(tell(calledName(name, commands, parameters), error));
  endAtSignals(() => end(new DfsError('EINTR', 'interrupted')));
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  // Node ends with exit code 0 when it has nothing to wait for, although a promise is left that nobody will settle.
  process.on('beforeExit', () => end(new Error('the command ended in the middle')));
}

function oneLine(text: string): string {
  // Other machines may have made it: nothing of it steers the terminal.
  return text
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/\p{Cc}/gu, '?')
    .trim();
}

function isDebugging(): boolean {
  const { DFS_DEBUG = '' } = process.env;
  return DFS_DEBUG !== '';
}

/** Ours, or what yargs throws for a wrong command line. */
function isUsageError(error: unknown): error is Error {
  return error instanceof UsageError || (error instanceof Error && error.name === 'YError');
}

/** Neither one of our sentences nor an answer of the operating system. */
function isBug(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof DfsError) && !('code' in error);
}
