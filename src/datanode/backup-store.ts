/**
 * Copies of the metadata database that the metadata server leaves here, under backup/GENERATION/. A file's name tells
 * its number, whether the copy is complete with it, and its checksum. It gets that name when it is all there, checked
 * and on stable storage; before, it is backup/incoming-GENERATION-FILE.
 */
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Disk, DiskFile } from '../platform/disk.js';
import type { BackupFile } from '../protocol/backup-commands.js';
import { DfsError } from '../protocol/errors.js';
import { payloadBytes } from '../platform/payload.js';
import type { Payload } from '../protocol/frame.js';

/** Complete copies that are kept. */
const KEPT_GENERATIONS = 3;
const INCOMING = 'incoming-';
const FILE_NAME = /^(\d{1,10})\.(part|complete)\.([0-9a-f]{64})$/;
const FILE_DIGITS = 6;

interface Incoming {
  readonly file: BackupFile;
  readonly path: string;
  readonly target: DiskFile;
  readonly hash: Hash;
  bytes: number;
}

export class BackupStore {
  readonly #disk: Disk;
  readonly #directory: string;
  /** generation → its files by name */
  readonly #generations = new Map<number, Map<string, BackupFile>>();
  /** The one file that is being received. */
  #incoming: Incoming | undefined;
  /** Writes happen one after the other; never rejects. */
  #last: Promise<void> = Promise.resolve();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** Finds what is there, and removes what was not finished. */
  async open(): Promise<void> {
    await this.#disk.makeDirectory(this.#directory);
    for (const name of await this.#disk.list(this.#directory)) {
      if (name.startsWith(INCOMING)) await this.#disk.unlink(join(this.#directory, name));
      else if (/^\d{1,16}$/.test(name)) await this.#load(Number(name));
    }
  }

  /** Every file, in order. */
  list(): BackupFile[] {
    const files: BackupFile[] = [];
    for (const each of this.#generations.values()) files.push(...each.values());
    return files.sort((a, b) => a.generation - b.generation || a.file - b.file);
  }

  /** Part of a file; less than `length` at its end. ENOENT. */
  async read(
    file: BackupFile,
    offset: number,
    length: number,
  ): Promise<{ readonly bytes: Buffer; readonly crc: number }> {
    const name = nameOf(file);
    if (this.#generations.get(file.generation)?.has(name) !== true)
      throw new DfsError('ENOENT', `file ${file.file} of backup ${file.generation} is not on this node`);
    const source = await this.#disk.open(join(this.#directory, String(file.generation), name), 'existing');
    try {
      const target = Buffer.allocUnsafe(length);
      const bytes = target.subarray(0, await source.pread(target, offset));
      return { bytes, crc: crc32(bytes) };
    } finally {
      await source.close();
    }
  }

  /** Takes a piece of a file. EBADMSG, EINVAL: see `backup-write`. */
  async write(file: BackupFile, offset: number, crc: number, payload: Payload): Promise<void> {
    const turn = this.#last.then(async () => await this.#write(file, offset, crc, payload));
    this.#last = turn.catch(() => undefined);
    await turn;
  }

  /** May be called twice. */
  async close(): Promise<void> {
    await this.#last;
    await this.#abandon();
  }

  async #write(file: BackupFile, offset: number, crc: number, payload: Payload): Promise<void> {
    if (this.#generations.get(file.generation)?.has(nameOf(file)) === true) return;
    if (offset === 0) await this.#begin(file);
    const incoming = this.#incoming;
    if (!incoming || nameOf(incoming.file) !== nameOf(file) || incoming.bytes !== offset) {
      throw new DfsError('EINVAL', `byte ${offset} is not where file ${file.file} of the backup goes on`);
    }
    let actual = 0;
    for (const piece of payload) actual = crc32(piece, actual);
    if (actual !== crc) throw new DfsError('EBADMSG', 'a piece of a backup was damaged on the way');
    try {
      await incoming.target.writev(payload, offset);
      for (const piece of payload) incoming.hash.update(piece);
      incoming.bytes += payloadBytes(payload);
      if (incoming.bytes >= file.bytes) await this.#finish(incoming);
    } catch (error) {
      await this.#abandon();
      throw error;
    }
  }

  async #begin(file: BackupFile): Promise<void> {
    await this.#abandon();
    const path = join(this.#directory, `${INCOMING}${file.generation}-${file.file}`);
    const target = await this.#disk.open(path, 'create');
    await target.truncate(0);
    this.#incoming = { file, path, target, hash: createHash('sha256'), bytes: 0 };
  }

  async #finish(incoming: Incoming): Promise<void> {
    const { file, path, target, hash, bytes } = incoming;
    if (bytes !== file.bytes || hash.digest('hex') !== file.sha256)
      throw new DfsError('EBADMSG', `file ${file.file} of backup ${file.generation} came damaged`);
    await target.datasync();
    const directory = join(this.#directory, String(file.generation));
    await this.#disk.makeDirectory(directory);
    await this.#disk.rename(path, join(directory, nameOf(file)));
    this.#incoming = undefined;
    await target.close();
    await this.#disk.syncDirectory(directory);
    await this.#disk.syncDirectory(this.#directory);
    this.#note(file);
    if (file.isComplete) await this.#prune(file.generation);
  }

  async #abandon(): Promise<void> {
    const incoming = this.#incoming;
    this.#incoming = undefined;
    if (!incoming) return;
    await incoming.target.close();
    await this.#disk.unlink(incoming.path);
  }

  /** Keeps the newest complete copies, and what belongs to the one that is being made. */
  async #prune(current: number): Promise<void> {
    const complete = [...this.#generations].filter(([, files]) =>
      [...files.values()].some(f => f.isComplete),
    );
    const newest = complete.map(([generation]) => generation).sort((a, b) => b - a);
    const kept = new Set([current, ...newest.slice(0, KEPT_GENERATIONS)]);
    for (const [generation, files] of this.#generations) {
      if (kept.has(generation)) continue;
      this.#generations.delete(generation);
      const directory = join(this.#directory, String(generation));
      for (const name of files.keys()) await this.#disk.unlink(join(directory, name));
      await this.#disk.removeDirectory(directory);
    }
  }

  async #load(generation: number): Promise<void> {
    const directory = join(this.#directory, String(generation));
    for (const name of await this.#disk.list(directory)) {
      const [, number, kind, sha256] = FILE_NAME.exec(name) ?? [];
      if (number === undefined || sha256 === undefined) continue;
      const file = await this.#disk.open(join(directory, name), 'existing');
      const bytes = await file.size();
      await file.close();
      this.#note({ generation, file: Number(number), isComplete: kind === 'complete', sha256, bytes });
    }
    if (!this.#generations.has(generation)) await this.#disk.removeDirectory(directory);
  }

  #note(file: BackupFile): void {
    const files = this.#generations.get(file.generation) ?? new Map<string, BackupFile>();
    this.#generations.set(file.generation, files.set(nameOf(file), file));
  }
}

function nameOf({ file, isComplete, sha256 }: BackupFile): string {
  return `${String(file).padStart(FILE_DIGITS, '0')}.${isComplete ? 'complete' : 'part'}.${sha256}`;
}
