/** A command, which is both an executable of its own and a subcommand of `dfs`. */
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { CONFIG_OPTION } from './config-option.js';

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** The positional arguments as yargs has them, e.g. `<server> [path]`. */
  readonly positionals: string;
  /** Its arguments may come from a file too (config-file.ts). */
  readonly takesConfig: boolean;
  /** Declares the arguments; `call` is how the command is called in examples. */
  declare(yargs: Argv, call: string): Argv<unknown>;
  /**
   * Adds the command to a program.
   * @param isWholeProgram the program is this command alone, so its name is not typed again
   */
  addTo(program: Argv, isWholeProgram: boolean): Argv;
}

interface CommandDefinition<Arguments> {
  readonly name: string;
  /** As in Command. */
  readonly positionals: string;
  readonly summary: string;
  /** As in Command; default: false. */
  readonly takesConfig?: boolean;
  /** As in Command. */
  declare(yargs: Argv, call: string): Argv<Arguments>;
  /** Throws UsageError or DfsError. */
  run(parameters: ArgumentsCamelCase<Arguments>): Promise<void>;
}

export function defineCommand<Arguments>(definition: CommandDefinition<Arguments>): Command {
  const { name, positionals, summary, takesConfig = false } = definition;
  const declare = (yargs: Argv, call: string): Argv<Arguments> => {
    const declared = definition.declare(yargs, call);
    return takesConfig ? declared.option('config', CONFIG_OPTION) : declared;
  };
  return {
    name,
    summary,
    positionals,
    takesConfig,
    declare,
    addTo(program, isWholeProgram) {
      const called = isWholeProgram ? '$0' : name;
      return program.command(
        `${called} ${positionals}`.trim(),
        summary,
        yargs => declare(yargs, isWholeProgram ? '$0' : `$0 ${name}`),
        async parameters => await definition.run(parameters),
      );
    },
  };
}
