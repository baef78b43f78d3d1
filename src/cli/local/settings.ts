/** What the user may choose about the local cluster: by variables, which hold from the first start until it is stopped. */
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { hasCode } from '../../protocol/errors.js';
import { DEFAULT_GOAL, MAX_GOAL } from '../../protocol/limits.js';
import { DEFAULT_METADATA_PORT } from '../address.js';
import { defaultKeyPath, dfsHome } from '../dfs-home.js';
import { UsageError } from '../usage-error.js';

const DEFAULT_NODES = 3;
const MAX_NODES = 100;
const MAX_PORT = 65_535;
const ADDRESS_FILE = 'address';
const NODE_DIRECTORY = /^node([1-9]\d{0,3})$/;

/** Where the cluster's things are. */
export interface LocalPaths {
  readonly home: string;
  /** Records of what runs, and the settings. */
  readonly run: string;
  readonly log: string;
  readonly database: string;
  readonly key: string;
}

export interface Wishes {
  readonly port: number | undefined;
  readonly nodes: number | undefined;
  readonly goal: number | undefined;
}

/** How the cluster was started last; none after it was stopped. */
export interface HeldSettings {
  readonly port: number | undefined;
  readonly goal: number | undefined;
}

/** UsageError when neither DFS_HOME nor HOME is set. */
export function localPaths(): LocalPaths {
  const { DFS_HOME = '', HOME = '', DFS_KEY_FILE = '' } = process.env;
  if (DFS_HOME === '' && HOME === '')
    throw new UsageError('neither DFS_HOME nor HOME is set; say where the state goes');
  const home = dfsHome();
  return {
    home,
    run: join(home, 'run'),
    log: join(home, 'log'),
    database: join(home, 'metadata', 'dfs.db'),
    key: DFS_KEY_FILE === '' ? defaultKeyPath() : resolve(DFS_KEY_FILE),
  };
}

/** DFS_PORT, DFS_NODES and DFS_GOAL. UsageError for one that makes no sense. */
export function readWishes(env: NodeJS.ProcessEnv = process.env): Wishes {
  return {
    port: numberIn(env, 'DFS_PORT', MAX_PORT),
    nodes: numberIn(env, 'DFS_NODES', MAX_NODES),
    goal: numberIn(env, 'DFS_GOAL', MAX_GOAL),
  };
}

function numberIn(env: NodeJS.ProcessEnv, name: string, max: number): number | undefined {
  const text = env[name] ?? '';
  if (text === '') return undefined;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > max)
    throw new UsageError(`${name} is '${text}'; give a number from 1 to ${max}`);
  return number;
}

/** `$DFS_HOME/run/settings`: "port goal". */
export function heldSettings({ run }: LocalPaths): HeldSettings {
  const [port, goal] = wordsIn(join(run, 'settings'));
  return { port: wholeNumber(port), goal: wholeNumber(goal) };
}

/** What holds: what is wished for, else what has held, else the default. */
export function settle(wishes: Wishes, held: HeldSettings): { readonly port: number; readonly goal: number } {
  return {
    port: wishes.port ?? held.port ?? DEFAULT_METADATA_PORT,
    goal: wishes.goal ?? held.goal ?? DEFAULT_GOAL,
  };
}

/** Has settings hold until forgetSettings(). */
export function holdSettings(
  { run }: LocalPaths,
  settings: { readonly port: number; readonly goal: number; readonly nodes: number },
): void {
  writeFileSync(join(run, 'settings'), `${settings.port} ${settings.goal}\n`);
  writeFileSync(join(run, 'nodes'), `${settings.nodes}\n`);
}

/** The address by which other machines reach the cluster; undefined while it is this machine's alone. It holds until it is changed. */
export function exposedAddress({ home }: Pick<LocalPaths, 'home'>): string | undefined {
  const [address = ''] = wordsIn(join(home, ADDRESS_FILE));
  return address === '' ? undefined : address;
}

/** Has it hold from the next start of each server on; undefined: the cluster is to be this machine's alone. */
export function holdAddress({ home }: Pick<LocalPaths, 'home'>, address: string | undefined): void {
  if (address === undefined) rmSync(join(home, ADDRESS_FILE), { force: true });
  else writeFileSync(join(home, ADDRESS_FILE), `${address}\n`);
}

/** The number of nodes goes on to hold. */
export function forgetSettings({ run }: LocalPaths): void {
  rmSync(join(run, 'settings'), { force: true });
}

/**
 * How many data nodes there are: as wished for, else as last time. Nodes that were made once hold data and belong to the
 * cluster, also when DFS_NODES says less today.
 */
export function countNodes({ home, run }: LocalPaths, wishes: Wishes): number {
  const made = namesIn(home).map(name => Number(NODE_DIRECTORY.exec(name)?.[1] ?? 0));
  const [held] = wordsIn(join(run, 'nodes'));
  return Math.max(wishes.nodes ?? wholeNumber(held) ?? DEFAULT_NODES, ...made);
}

/** The port on which a data node listened last; undefined when it has never run. */
export function heldNodePort({ run }: LocalPaths, node: string): number | undefined {
  const [port] = wordsIn(join(run, `${node}.port`));
  return wholeNumber(port);
}

export function holdNodePort({ run }: LocalPaths, node: string, port: number): void {
  writeFileSync(join(run, `${node}.port`), `${port}\n`);
}

function wordsIn(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').trim().split(' ');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return [];
    throw error;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return [];
    throw error;
  }
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,4}$/.test(text) ? Number(text) : undefined;
}
