/** Copies a file or a tree to a place where nothing is yet. */
import type { Entry, Kept, Reader, Tree, Writer } from './tree.js';
import { payloadBytes } from '../../platform/payload.js';
import { TaskGroup } from './task-group.js';

/** Small files cost waiting rather than work, so several are under way at once. */
const FILES_AT_ONCE = 8;
/** Runs of zeros shorter than this are written even when the source has holes. */
const HOLE_BYTES = 64 << 10;
const ZEROS = Buffer.alloc(HOLE_BYTES);
const PLAIN_PERMISSIONS = 0o777;

export interface CopierOptions {
  /** Mode, modification time and, where it may be set, the owner stay as they are. */
  readonly isPreserving: boolean;
  readonly mayChown: boolean;
  /** Permission bits that a copy does not get unless it preserves them. */
  readonly umask: number;
  /** Aborted when the copy is to end. */
  readonly signal: AbortSignal;
  readonly onBytes: (count: number) => void;
  /** Told of a special file, which is left out. */
  readonly onLeftOut: (description: string, kind: Entry['kind']) => void;
}

export class Copier<Source, Target> {
  readonly #source: Tree<Source>;
  readonly #target: Tree<Target>;
  readonly #options: CopierOptions;

  constructor(source: Tree<Source>, target: Tree<Target>, options: CopierOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  /**
   * Copies one file.
   * @param isDurable it is on stable storage when this returns
   */
  async copyFile(from: Source, entry: Entry, to: Target, isDurable: boolean): Promise<void> {
    const reader = await this.#source.openReader(from);
    try {
      await this.copyBytes(reader, entry, to, isDurable);
    } finally {
      await reader.close();
    }
  }

  /** As copyFile(), from any source of bytes. */
  async copyBytes(reader: Reader, entry: Entry, to: Target, isDurable: boolean): Promise<void> {
    const kept = this.#kept(entry);
    const writer = await this.#target.createWriter(to, kept.permissions);
    try {
      await this.#pump(reader, writer, entry.isSparse);
      await writer.finish(isDurable);
    } catch (error) {
      await writer.abandon();
      throw error;
    }
    await this.#target.setAttributes(to, 'file', kept);
  }

  /** Copies a directory with everything below. When it fails, what is at `to` is a part. */
  async copyTree(from: Source, entry: Entry, to: Target): Promise<void> {
    /** Directories get their attributes last: filling them changes their times, and may need more permissions. */
    const made: { readonly place: Target; readonly kept: Kept }[] = [];
    const files = new TaskGroup(FILES_AT_ONCE);
    try {
      await this.#copyDirectory(from, entry, to, files, made);
      await files.finish();
    } catch (error) {
      await files.settle();
      throw error;
    }
    for (const { place, kept } of made.toReversed()) {
      await this.#target.setAttributes(place, 'directory', kept);
    }
  }

  async #copyDirectory(
    from: Source,
    entry: Entry,
    to: Target,
    files: TaskGroup,
    made: { readonly place: Target; readonly kept: Kept }[],
  ): Promise<void> {
    const kept = this.#kept(entry);
    await this.#target.makeDirectory(to, kept.permissions);
    made.push({ place: to, kept });
    for await (const child of this.#source.children(from)) {
      this.#options.signal.throwIfAborted();
      const place = this.#target.child(to, child.name);
      switch (child.entry.kind) {
        case 'directory':
          await this.#copyDirectory(child.place, child.entry, place, files, made);
          break;
        case 'file':
          await files.add(async () => await this.copyFile(child.place, child.entry, place, false));
          break;
        case 'symlink':
          await files.add(async () => await this.#copySymlink(child.place, child.entry, place));
          break;
        default:
          this.#options.onLeftOut(this.#source.describe(child.place), child.entry.kind);
      }
    }
  }

  async #copySymlink(from: Source, entry: Entry, to: Target): Promise<void> {
    await this.#target.makeSymlink(to, await this.#source.readSymlink(from));
    const { owner, times } = this.#kept(entry);
    if (owner || times) await this.#target.setAttributes(to, 'symlink', this.#kept(entry));
  }

  async #pump(reader: Reader, writer: Writer, isSparse: boolean): Promise<void> {
    const { signal, onBytes } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      const payload = await reader.read();
      if (!payload) return;
      if (isSparse) for (const piece of payload) await writeWithHoles(writer, piece);
      // All at once: an encrypted connection brings pieces of 16 KiB.
      else await writer.write(payload);
      onBytes(payloadBytes(payload));
    }
  }

  #kept(entry: Entry): Kept {
    const { isPreserving, mayChown, umask } = this.#options;
    const { permissions, uid, gid, atime, mtime } = entry;
    if (!isPreserving) return { permissions: permissions & PLAIN_PERMISSIONS & ~umask };
    return { permissions, times: { atime, mtime }, ...(mayChown ? { owner: { uid, gid } } : {}) };
  }
}

async function writeWithHoles(writer: Writer, piece: Buffer): Promise<void> {
  for (let at = 0; at < piece.length; at += HOLE_BYTES) {
    const block = piece.subarray(at, at + HOLE_BYTES);
    if (block.equals(ZEROS.subarray(0, block.length))) writer.skip(block.length);
    else await writer.write([block]);
  }
}
