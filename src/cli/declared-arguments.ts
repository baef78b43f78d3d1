/**
 * What a command has declared to yargs, as a value: yargs keeps its own record to itself. The configuration file, the manual pages and
 * the completions are made of it, so that each option stands once.
 */
import type { Argv } from 'yargs';
import type { Command } from './command.js';

/** An option, or a positional argument. */
export interface DeclaredArgument {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly isBoolean: boolean;
  readonly description: string;
  /** Empty when any value may be given. */
  readonly choices: readonly string[];
  /** As --help shows it. */
  readonly defaultText: string | undefined;
  /** Throws UsageError when the text is no value of it. */
  check(text: string): void;
}

export interface DeclaredPositional extends DeclaredArgument {
  readonly isRequired: boolean;
}

export interface DeclaredArguments {
  /** In the order in which they are typed. */
  readonly positionals: readonly DeclaredPositional[];
  readonly options: readonly DeclaredArgument[];
  readonly examples: readonly (readonly [command: string, description: string])[];
  readonly epilogue: string;
}

/** What commands say of an argument, as far as it is used here. */
interface Declaration {
  readonly alias?: string | readonly string[];
  readonly type?: string;
  readonly describe?: string;
  readonly choices?: readonly unknown[];
  readonly default?: string | number | boolean | undefined;
  readonly defaultDescription?: string;
  readonly coerce?: (text: string) => unknown;
}

/** Takes the place of yargs in a command's declare(): knows the few calls of it that commands make, and notes them. */
class Recorder {
  readonly positionals = new Map<string, Declaration>();
  readonly options = new Map<string, Declaration>();
  readonly examples: (readonly [string, string])[] = [];
  epilogue = '';

  positional(name: string, definition: Declaration): this {
    this.positionals.set(name, definition);
    return this;
  }

  option(name: string, definition: Declaration): this {
    this.options.set(name, definition);
    return this;
  }

  example(examples: readonly (readonly [string, string])[]): this {
    this.examples.push(...examples);
    return this;
  }

  epilog(text: string): this {
    this.epilogue = text;
    return this;
  }

  parserConfiguration(): this {
    return this;
  }
}

/** @param call how the command is called in its examples, e.g. `dfs mount` */
export function declaredArguments(command: Command, call: string): DeclaredArguments {
  const recorder = new Recorder();
  // It answers to every call that a command makes; another one is a TypeError, which the tests of all commands show.
  command.declare(recorder as unknown as Argv, call);
  const positionals = positionalNames(command.positionals).map(({ name, isRequired }) =>
    Object.assign(declaredArgument(name, recorder.positionals.get(name) ?? {}), { isRequired }),
  );
  const options = [...recorder.options].map(([name, definition]) => declaredArgument(name, definition));
  return { positionals, options, examples: recorder.examples, epilogue: recorder.epilogue };
}

/** Of `<server> [path..]`. */
function positionalNames(text: string): { readonly name: string; readonly isRequired: boolean }[] {
  return [...text.matchAll(/([<[])([\w-]+)/g)].map(([, bracket, name = '']) => ({
    name,
    isRequired: bracket === '<',
  }));
}

function declaredArgument(name: string, declaration: Declaration): DeclaredArgument {
  const { alias = [], type, describe = '', choices = [], coerce } = declaration;
  const { default: byDefault, defaultDescription } = declaration;
  return {
    name,
    aliases: typeof alias === 'string' ? [alias] : alias,
    isBoolean: type === 'boolean',
    description: describe,
    choices: choices.map(String),
    defaultText: defaultDescription ?? (byDefault === undefined ? undefined : String(byDefault)),
    check: text => void coerce?.(text),
  };
}
