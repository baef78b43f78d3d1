/**
 * The arguments of a command from a TOML file (--config): a service's unit then names nothing but the file. What the file says is put
 * before what was typed, as if it had been typed too, so that it is checked by the same rules; what was typed goes first.
 */
import { readFileSync } from 'node:fs';
import { parse, TomlDate, TomlError, type TomlTable, type TomlValue } from 'smol-toml';
import { toDfsError } from '../protocol/errors.js';
import type { Command } from './command.js';
import {
  declaredArguments,
  type DeclaredArgument,
  type DeclaredArguments,
  type DeclaredPositional,
} from './declared-arguments.js';
import { nearestName } from './nearest-name.js';
import { UsageError } from './usage-error.js';

const CONFIG = 'config';

/** What was typed, told apart. */
interface TypedArguments {
  /** With their values. */
  readonly options: string[];
  readonly positionals: string[];
  /** What --config names. */
  configPath: string | undefined;
}

/**
 * The arguments of a command, with those of the file that --config names before them. UsageError that names the file and the key when
 * the command takes no such key, or its value is none that the key takes; ENOENT and the like when the file cannot be read.
 * @param typed what stands after the command's name
 */
export function withConfigFile(command: Command, typed: readonly string[]): readonly string[] {
  if (!command.takesConfig || !typed.some(argument => /^--config(=|$)/.test(argument))) return typed;
  const declared = declaredArguments(command, command.name);
  const { options, positionals, configPath } = tellApart(declared, typed);
  // yargs says that the value is missing.
  if (configPath === undefined) return typed;
  const values = readConfig(configPath, declared);
  const fromFile = declared.options.flatMap(({ name, isBoolean }) => {
    const value = values.get(name);
    if (value === undefined) return [];
    if (isBoolean) return [value === 'true' ? `--${name}` : `--no-${name}`];
    return [`--${name}=${value}`];
  });
  const all = declared.positionals.map((positional, place) => {
    const text = positionals[place] ?? values.get(positional.name);
    if (text === undefined && positional.isRequired) throw missing(positional, configPath);
    return text;
  });
  const further = positionals.slice(all.length);
  return [...fromFile, ...options, ...all.filter(text => text !== undefined), ...further];
}

function missing({ name, aliases }: DeclaredPositional, path: string): UsageError {
  const key = aliases[0] ?? name;
  return new UsageError(`an argument is missing, ${name}: give it here, or as '${key} = …' in ${path}`);
}

function tellApart({ options }: DeclaredArguments, typed: readonly string[]): TypedArguments {
  const told: TypedArguments = { options: [], positionals: [], configPath: undefined };
  const takesValue = new Set(options.filter(({ isBoolean }) => !isBoolean).flatMap(namesOf));
  for (let place = 0; place < typed.length; place += 1) {
    const argument = typed[place] ?? '';
    if (argument === '--') {
      told.positionals.push(...typed.slice(place + 1));
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      told.positionals.push(argument);
      continue;
    }
    told.options.push(argument);
    const [, camelOrKebab = '', equals] = /^--?([^=]+)(=)?/.exec(argument) ?? [];
    const name = kebab(camelOrKebab);
    let value = equals === undefined ? undefined : argument.slice(argument.indexOf('=') + 1);
    const next = typed[place + 1];
    if (value === undefined && takesValue.has(name) && next !== undefined) {
      told.options.push(next);
      value = next;
      place += 1;
    }
    if (name === CONFIG) told.configPath = value;
  }
  return told;
}

function namesOf({ name, aliases }: DeclaredArgument): string[] {
  return [name, ...aliases];
}

/** yargs knows `--cacheSize`, too. */
function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

/** Argument → its value, as it would be typed. */
function readConfig(path: string, { options, positionals }: DeclaredArguments): Map<string, string> {
  const known = new Map<string, DeclaredArgument>();
  for (const argument of [...positionals, ...options]) {
    if (argument.name === CONFIG) continue;
    for (const name of namesOf(argument)) known.set(name, argument);
  }
  const values = new Map<string, string>();
  for (const [key, value] of Object.entries(readToml(path))) {
    const argument = known.get(key);
    if (!argument) throw unknownKey(path, key, [...known.keys()]);
    if (values.has(argument.name))
      throw new UsageError(`${path}: ${key} is given twice, by two names of it; leave one out`);
    const text = checked(path, key, argument, value);
    // It would be taken for an option.
    if (text.startsWith('-') && positionals.some(({ name }) => name === argument.name))
      throw new UsageError(`${path}: ${key} must not begin with a dash`);
    values.set(argument.name, text);
  }
  return values;
}

function readToml(path: string): TomlTable {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw toDfsError(error).within(`cannot read the configuration file ${path}`);
  }
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Its further lines show the place.
    const [reason = ''] = error.message.split('\n');
    throw new UsageError(
      `${path}, line ${error.line}, column ${error.column}: ${reason.replace(/^Invalid TOML document: /, '')}`,
    );
  }
}

function unknownKey(path: string, key: string, names: readonly string[]): UsageError {
  const nearest = nearestName(key, names);
  const hint = nearest === undefined ? `the keys are ${names.join(', ')}` : `did you mean '${nearest}'?`;
  return new UsageError(`${path}: there is no key '${key}'; ${hint}`);
}

/** A value, as it would be typed. */
function checked(path: string, key: string, argument: DeclaredArgument, value: TomlValue): string {
  const { isBoolean, choices } = argument;
  const text = asTyped(value, isBoolean);
  if (text === undefined) {
    const wanted = isBoolean ? 'true or false' : 'a string or a number';
    throw new UsageError(`${path}: ${key} has to be ${wanted}, and is ${kindOf(value)}`);
  }
  if (text === '') throw new UsageError(`${path}: ${key} is empty; give it a value, or leave it out`);
  if (choices.length > 0 && !choices.includes(text))
    throw new UsageError(`${path}: ${key} is '${text}', and has to be one of ${choices.join(', ')}`);
  if (isBoolean) return text;
  try {
    argument.check(text);
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${path}: ${key}: ${error.message}`);
    throw error;
  }
  return text;
}

/** Undefined for a value of another kind. */
function asTyped(value: TomlValue, isBoolean: boolean): string | undefined {
  if (isBoolean) return typeof value === 'boolean' ? String(value) : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function kindOf(value: TomlValue): string {
  if (Array.isArray(value)) return 'a list';
  if (value instanceof TomlDate) return 'a date';
  if (typeof value === 'object') return 'a table';
  if (typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? 'a string' : 'a number';
}
