/** A command, which is both an executable of its own and a subcommand of `dfs`. */
import type { ArgumentsCamelCase, Argv } from 'yargs';

export interface Command {
  readonly name: string;
  /**
   * Adds the command to a program.
   * @param isWholeProgram the program is this command alone, so its name is not typed again
   */
  addTo(program: Argv, isWholeProgram: boolean): Argv;
}

interface CommandDefinition<Arguments> {
  readonly name: string;
  /** The positional arguments as yargs has them, e.g. `<server> [path]`. */
  readonly positionals: string;
  readonly summary: string;
  /** Declares the arguments; `call` is how the command is called in examples. */
  declare(yargs: Argv, call: string): Argv<Arguments>;
  /** Throws UsageError or DfsError. */
  run(parameters: ArgumentsCamelCase<Arguments>): Promise<void>;
}

export function defineCommand<Arguments>(definition: CommandDefinition<Arguments>): Command {
  const { name, positionals, summary } = definition;
  return {
    name,
    addTo(program, isWholeProgram) {
      const called = isWholeProgram ? '$0' : name;
      return program.command(
        `${called} ${positionals}`.trim(),
        summary,
        yargs => definition.declare(yargs, isWholeProgram ? '$0' : `$0 ${name}`),
        async parameters => await definition.run(parameters),
      );
    },
  };
}
