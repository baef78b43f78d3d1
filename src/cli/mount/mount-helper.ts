/**
 * mount.dfs: what mount(8) calls for `mount -t dfs SOURCE DIRECTORY -o …` and for lines of /etc/fstab. Translates its arguments to those of
 * `dfs mount`, by the same declarations.
 */
import type { Command } from '../command.js';
import { declaredArguments } from '../declared-arguments.js';
import { nearestName } from '../nearest-name.js';
import { UsageError } from '../usage-error.js';

export const MOUNT_HELPER = 'mount.dfs';

/** mount(8), "EXIT STATUS": incorrect invocation, and mount failure. */
const EXIT_CODES = { usage: 1, failed: 32 };

/** Option of mount(8) → what `dfs mount` calls it; undefined for what it does anyway, or what others look at. */
const OPTIONS: ReadonlyMap<string, string | undefined> = new Map([
  ['ro', '--read-only'],
  ['rw', '--no-read-only'],
  ['noatime', '--atime=noatime'],
  ['relatime', '--atime=relatime'],
  ['suid', '--suid'],
  ['nosuid', '--no-suid'],
  ['dev', '--dev'],
  ['nodev', '--no-dev'],
  ['exec', '--exec'],
  ['noexec', '--no-exec'],
  ['allow_other', '--allow-other'],
  ...['defaults', 'async', 'auto', 'noauto', 'nofail', '_netdev'].map(name => [name, undefined] as const),
  ...['user', 'users', 'nouser', 'owner', 'group', 'nodiratime'].map(name => [name, undefined] as const),
]);

/** Those of `dfs mount` that are not for a line of fstab. */
const NOT_HERE = new Set(['background', 'fstab', 'quiet', 'config', 'take-over']);

export interface HelperCall {
  /** What `dfs mount` is called with; undefined when nothing is to be done (-f). */
  readonly parameters: readonly string[] | undefined;
}

/**
 * What mount(8) gives a helper: SOURCE DIRECTORY [-sfnv] [-o OPTIONS] [-t TYPE]. UsageError for options that there are not, unless
 * it is to be sloppy (-s).
 */
export function helperCall(mount: Command, given: readonly string[]): HelperCall {
  const places: string[] = [];
  const options: string[] = [];
  const flags = new Set<string>();
  for (let index = 0; index < given.length; index += 1) {
    const argument = given[index] ?? '';
    const takesValue = /^-([ot])(.*)$/s.exec(argument);
    if (takesValue) {
      const [, letter, attached = ''] = takesValue;
      const value = attached === '' ? given[(index += 1)] : attached;
      if (value === undefined) throw new UsageError(`-${letter ?? ''} needs a value`);
      if (letter === 'o') options.push(...splitOptions(value));
    } else if (/^-[sfnv]+$/.test(argument)) {
      for (const letter of argument.slice(1)) flags.add(letter);
    } else if (argument.startsWith('-')) {
      throw new UsageError(
        `there is no option ${argument}; mount(8) gives SOURCE DIRECTORY [-sfnv] [-o OPTIONS]`,
      );
    } else {
      places.push(argument);
    }
  }
  const [source, directory, ...further] = places;
  if (source === undefined || directory === undefined || further.length > 0)
    throw new UsageError('it takes a source and a directory: mount -t dfs HOST:/ DIRECTORY');
  const isSloppy = flags.has('s');
  const translated = options.flatMap(option => translate(mount, option, isSloppy));
  if (flags.has('f')) return { parameters: undefined };
  const quiet = flags.has('v') ? [] : ['--quiet'];
  return { parameters: ['mount', '--background', ...quiet, ...translated, source, directory] };
}

/** A comma within double quotes ends no option. */
function splitOptions(text: string): string[] {
  return (text.match(/(?:"[^"]*"|[^,"])+/g) ?? []).map(option => option.replaceAll('"', ''));
}

function translate(mount: Command, option: string, isSloppy: boolean): string[] {
  const [name = '', ...values] = option.split('=');
  const value = values.length === 0 ? undefined : values.join('=');
  if (/^(x-|X-)/.test(name) || name === 'comment' || name === 'user') return [];
  if (value === undefined && OPTIONS.has(name)) {
    const translated = OPTIONS.get(name);
    return translated === undefined ? [] : [translated];
  }
  if (name === 'remount')
    throw new UsageError(
      'a mount of DFS cannot be remounted; unmount it, and mount it with the other options',
    );
  const { options } = declaredArguments(mount, mount.name);
  const own = options.filter(each => !NOT_HERE.has(each.name));
  const wanted = name.replaceAll('_', '-');
  const declared = own.find(each => each.name === wanted || (each.isBoolean && `no-${each.name}` === wanted));
  if (declared && declared.isBoolean === (value === undefined))
    return [value === undefined ? `--${wanted}` : `--${wanted}=${value}`];
  if (declared)
    throw new UsageError(
      declared.isBoolean ? `the option ${name} takes no value` : `the option ${name} needs a value`,
    );
  if (isSloppy) return [];
  const names = [...OPTIONS.keys(), ...own.map(each => each.name)];
  const nearest = nearestName(name, names);
  const hint = nearest === undefined ? 'man mount.dfs lists them' : `did you mean '${nearest}'?`;
  throw new UsageError(`there is no mount option '${name}'; ${hint}`);
}

/** Of a program that ended with 0, 1 or 2, as mount(8) has it. */
export function helperExitCode(code: number): number {
  if (code === 0) return 0;
  return code === 2 ? EXIT_CODES.usage : EXIT_CODES.failed;
}
