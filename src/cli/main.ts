/** Where every executable in bin/ begins. */
import { COMMANDS } from './commands.js';
import { endWithSentence, runProgram } from './program.js';

/** Runs the program `name`, `dfs` or one of its commands, with the process's arguments, and ends the process. */
export async function main(name: string): Promise<void> {
  const commands = name === 'dfs' ? COMMANDS : COMMANDS.filter(command => command.name === name);
  const parameters = process.argv.slice(2);
  endWithSentence(name, commands, parameters);
  // fuse-native leaves handles behind that would keep the process alive.
  process.exit(await runProgram(name, commands, parameters));
}
