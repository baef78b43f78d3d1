/** An open file of a simulated client, and what the promises say about it: blocks of one tag each. */
import { constants } from 'node:fs';
import type { FileHandle } from '../../src/vfs/file-system.js';
import type { LiveClient } from './cluster.js';
import { BrokenPromise, type Change, type History, type Value } from './history.js';

export const BLOCK_BYTES = 1024;
/** Blocks of a file that are written. */
export const FILE_BLOCKS = 24;

export function blockRegister(inode: number, block: number): string {
  return `block:${inode}:${block}`;
}

export function nameRegister(directory: number, name: string): string {
  return `name:${directory}/${name}`;
}

/** The tag that fills a block. Bytes that nobody wrote so are a broken promise. */
function tagOf(bytes: Buffer, where: string): Value {
  const tag = bytes.readUInt32LE(0);
  for (let at = 4; at < bytes.length; at += 4) {
    if (bytes.readUInt32LE(at) !== tag) {
      throw new BrokenPromise(`${where} holds ${tag} and, at ${at}, ${bytes.readUInt32LE(at)}`);
    }
  }
  return tag;
}

export class ObservedFile {
  readonly #client: LiveClient;
  readonly #history: History;
  readonly #handle: FileHandle;
  readonly inode: number;
  /** Written through this handle and not flushed: change → when `write` returned. */
  #unflushed = new Map<Change, number>();
  /** What was read back meanwhile, which counts when a flush says that nothing went wrong. */
  #read: { register: string; value: Value; began: number; own: Map<Change, number> }[] = [];

  constructor(client: LiveClient, history: History, handle: FileHandle) {
    this.#client = client;
    this.#history = history;
    this.#handle = handle;
    this.inode = client.vfs.inodeOf(handle);
  }

  static async open(
    client: LiveClient,
    history: History,
    inode: number,
    isWriting: boolean,
  ): Promise<ObservedFile> {
    const flags = isWriting ? constants.O_RDWR : constants.O_RDONLY;
    return new ObservedFile(client, history, await client.vfs.open(inode, flags));
  }

  /** Writes one tag over some blocks. */
  async write(block: number, count: number, tag: Value): Promise<void> {
    const bytes = Buffer.alloc(count * BLOCK_BYTES);
    const changes: Change[] = [];
    for (let at = 0; at < count; at += 1) {
      // A tag of its own for each block, so that none can pass for another.
      const value = tag * FILE_BLOCKS + at;
      for (let byte = 0; byte < BLOCK_BYTES; byte += 4) bytes.writeUInt32LE(value, at * BLOCK_BYTES + byte);
      const register = blockRegister(this.inode, block + at);
      changes.push(this.#history.begin(`write ${value}`, this.#client.id, [[register, value]]));
    }
    await this.#client.vfs.write(this.#handle, block * BLOCK_BYTES, bytes);
    const now = this.#history.now();
    for (const change of changes) this.#unflushed.set(change, now);
  }

  /** Reads blocks, and checks that they are what they may be. */
  async read(block: number, count: number): Promise<void> {
    const { inode } = this;
    const began = this.#history.now();
    const pieces = await this.#client.vfs.read(this.#handle, block * BLOCK_BYTES, count * BLOCK_BYTES);
    const bytes = Buffer.concat(pieces);
    if (bytes.length % BLOCK_BYTES !== 0) {
      throw new BrokenPromise(
        `inode ${inode} has a part of a block: ${bytes.length} bytes from block ${block}`,
      );
    }
    const { id } = this.#client;
    for (let at = 0; at < count; at += 1) {
      const register = blockRegister(inode, block + at);
      const part = bytes.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
      const value = part.length === 0 ? 0 : tagOf(part, register);
      const own = new Map(this.#unflushed);
      if (own.size === 0) this.#history.observe(id, 'reading', register, value, began);
      else this.#read.push({ register, value, began, own });
    }
  }

  /** close(2), or fsync(2): what was written is there for everybody when it says so. */
  async flush(isDurable: boolean): Promise<void> {
    const written = this.#unflushed;
    const read = this.#read;
    this.#unflushed = new Map();
    this.#read = [];
    const began = this.#history.now();
    const { vfs, id } = this.#client;
    if (isDurable) await vfs.fsync(this.#handle);
    else await vfs.flush(this.#handle);
    for (const { register, value, began: readBegan, own } of read) {
      this.#history.observe(id, 'reading back', register, value, readBegan, own);
    }
    for (const change of written.keys()) {
      this.#history.acknowledge(change);
      if (isDurable) change.isDurable = true;
    }
    if (!isDurable) return;
    const prefix = `block:${this.inode}:`;
    this.#history.makeDurable(began, ({ effects }) => {
      for (const [register, value] of effects) {
        if (register.startsWith(prefix)) return true;
        if (register.startsWith('name:') && value === this.inode) return true;
      }
      return false;
    });
  }

  async close(): Promise<void> {
    await this.#client.vfs.release(this.#handle);
  }
}
