/** The configuration files that `dfs create` and `dfs join` write, one for each server (config-file.ts reads them). */
import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parse, stringify } from 'smol-toml';
import { makeDirectories } from '../../platform/make-directories.js';
import { hasCode, toDfsError } from '../../protocol/errors.js';
import { configPath, type MachineLayout } from './machine-layout.js';
import { isNodeService, METADATA, type ServiceName } from './service-name.js';

const READABLE = 0o644;

/** What is in a configuration file: an argument's name, as the command has it → its value. */
export type Config = Readonly<Record<string, string | number | boolean>>;

/** The servers of this machine: those that have a configuration file. */
export async function configuredServices(layout: MachineLayout): Promise<ServiceName[]> {
  try {
    const names = (await readdir(layout.configuration)).flatMap(file => /^(.+)\.toml$/.exec(file)?.[1] ?? []);
    return names.filter(name => name === METADATA || isNodeService(name)).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw toDfsError(error).within(`cannot read ${layout.configuration}`);
  }
}

export async function readConfig(layout: MachineLayout, name: ServiceName): Promise<Config> {
  const path = configPath(layout, name);
  try {
    return parse(await readFile(path, 'utf8')) as Config;
  } catch (error) {
    throw toDfsError(error).within(`cannot read ${path}`);
  }
}

/** Writes a configuration file, whole or not at all. `comment` is a line that tells a reader of the file what it is. */
export async function writeConfig(
  layout: MachineLayout,
  name: ServiceName,
  comment: string,
  config: Config,
): Promise<void> {
  await writeWhole(configPath(layout, name), `# ${comment}\n${stringify(config)}`, layout.configurationMode);
}

export async function removeConfig(layout: MachineLayout, name: ServiceName): Promise<void> {
  await rm(configPath(layout, name), { force: true });
}

/** Writes a small file that everybody may read, on stable storage; one that was there before is replaced as a whole. */
export async function writeWhole(path: string, text: string, directoryMode: number): Promise<void> {
  const next = `${path}.new-${randomBytes(8).toString('hex')}`;
  try {
    await makeDirectories(dirname(path), directoryMode);
    const file = await open(next, 'wx', READABLE);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, path);
  } catch (error) {
    throw toDfsError(error).within(`cannot write ${path}`);
  } finally {
    await rm(next, { force: true });
  }
}
