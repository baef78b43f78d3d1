/** What simulated programs do with symbolic links: make them, read them, remove them. */
import { DfsError, hasCode } from '../../src/protocol/errors.js';
import { isSymlink } from '../../src/protocol/file-mode.js';
import type { LiveClient } from './cluster.js';
import { BrokenPromise, UNKNOWN, type History } from './history.js';
import { nameRegister } from './observed-file.js';
import type { SeededRandom } from './world/seeded-random.js';

/** Names that only symbolic links have. */
export const SYMLINK_NAMES = ['s', 't'];

export class SymbolicLinks {
  readonly #history: History;
  readonly #directories: readonly number[];
  /** inode → target of each link that was made; a number that a restarted server gives again becomes the new link's */
  readonly #targets = new Map<number, string>();
  #made = 0;

  constructor(history: History, directories: readonly number[]) {
    this.#history = history;
    this.#directories = directories;
  }

  async act(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.#directories);
    const name = random.pick(SYMLINK_NAMES);
    const what = random.integer(0, 4);
    if (what === 0) await this.#remove(client, directory, name);
    else if (what === 1) await this.#make(client, directory, name);
    else await this.#read(client, directory, name);
  }

  async #make(client: LiveClient, directory: number, name: string): Promise<void> {
    const history = this.#history;
    this.#made += 1;
    // Of different lengths, so that the size says which one it is.
    const target = `../${'x'.repeat(this.#made % 50)}/${this.#made}`;
    const register = nameRegister(directory, name);
    const change = history.begin(`symlink ${name}`, client.id, [[register, UNKNOWN]]);
    change.isExclusive = true;
    const owner = { uid: 0, gid: 0 };
    const { vfs } = client;
    try {
      const making = vfs.symlink(directory, Buffer.from(name), Buffer.from(target), owner);
      const { inode, size } = await client.names.changing([directory], making);
      if (size !== target.length) throw new BrokenPromise(`the link to ${target} has ${size} bytes`);
      this.#targets.set(inode, target);
      history.learn(change, register, inode);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) history.refuse(change);
      throw error;
    }
    history.acknowledge(change);
    history.checkOneWinner(register, change);
  }

  async #read(client: LiveClient, directory: number, name: string): Promise<void> {
    const history = this.#history;
    const began = history.now();
    const inode = await client.names.find(directory, name);
    history.observe(client.id, 'looking', nameRegister(directory, name), inode, began);
    if (inode === 0) return;
    const wanted = this.#targets.get(inode);
    const told = (await client.vfs.readlink(inode)).toString();
    if (wanted !== undefined && told !== wanted && this.#targets.get(inode) === wanted) {
      throw new BrokenPromise(`${client.id} was told that link ${inode} leads to ${told}, not to ${wanted}`);
    }
    const { mode, size } = await client.vfs.getattr(inode);
    if (isSymlink(mode) && size !== told.length) {
      throw new BrokenPromise(`link ${inode} to ${told} has ${size} bytes`);
    }
  }

  async #remove(client: LiveClient, directory: number, name: string): Promise<void> {
    const register = nameRegister(directory, name);
    const change = this.#history.begin(`unlink link ${name}`, client.id, [[register, 0]]);
    try {
      const removing = client.vfs.unlink(directory, Buffer.from(name));
      await client.names.changing([directory], removing);
    } catch (error) {
      if (error instanceof DfsError && error.code === 'ENOENT') {
        this.#history.refuse(change);
        this.#history.observe(client.id, 'refused', register, 0, change.began);
      }
      throw error;
    }
    this.#history.acknowledge(change);
  }
}
