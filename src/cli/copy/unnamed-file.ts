/** A file in a DFS that has no name until it is published: should this process die, its session ends and the file goes. */
import { constants } from 'node:fs';
import type { Attributes } from '../../protocol/types.js';
import type { Creation, FileHandle, FileSystem } from '../../vfs/file-system.js';

export class UnnamedFile {
  readonly #fileSystem: FileSystem;
  #handle: FileHandle | undefined;

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** Makes it, for a name in `directory`. */
  async create(
    directory: number,
    creation: Creation,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const created = await this.#fileSystem.tmpfile(directory, creation, constants.O_WRONLY);
    this.#handle = created.handle;
    return created;
  }

  /** Gives it a name. EEXIST for one that is taken, unless `isReplacing`. */
  async publish(inode: number, directory: number, name: Buffer, isReplacing: boolean): Promise<void> {
    await this.#fileSystem.link(inode, directory, name, isReplacing);
    await this.discard();
  }

  /** Gives it up: without a name it is gone. May be called twice. */
  async discard(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) await this.#fileSystem.release(handle);
  }
}
