/**
 * The files of one client by inode: those that are open, and those that were closed before what was written to them was
 * committed. What the metadata server says of a session's files reaches them here: revocations, a lost session, a server
 * that was started anew. Written data that is old is sent from here.
 */
import type { AttributeTicket } from '../client/caches/attribute-cache.js';
import type { Client } from '../client/client.js';
import { ExtentMaps } from '../client/content/extent-maps.js';
import type { Revocation } from '../client/leases/cache-lease.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import type { Timer } from '../platform/clock.js';
import { DfsError } from '../protocol/errors.js';
import type { Attributes } from '../protocol/types.js';
import { FileFailures } from './file-failures.js';
import { OpenFile } from './open-file.js';
import type { VfsOptions } from './vfs-options.js';
import { surroundingsOf, type ShownChanges, type WriterSurroundings } from './writer-surroundings.js';

/** Written data does not wait longer than this before it is sent, whether or not a chunk is full. */
const MAX_DIRTY_AGE_MS = 500;
const DIRTY_CHECK_MS = 250;

export class FileTable {
  readonly #session: MetadataSession;
  /** inode → the file */
  readonly #files = new Map<number, OpenFile>();
  /** inode → its extents, as far as known */
  readonly extents: ExtentMaps;
  readonly failures = new FileFailures(this.#files);
  /** What the writers of all files share. */
  readonly surroundings: WriterSurroundings;
  #dirtyTimer: Timer | undefined;
  #isClosed = false;

  constructor(client: Client, options: VfsOptions, shown: ShownChanges) {
    const { session, cacheSizes, budget } = client;
    const { lease, held } = session;
    this.#session = session;
    this.extents = new ExtentMaps(cacheSizes.extentBytes);
    budget.count('extents', () => this.extents.usedBytes);
    this.surroundings = surroundingsOf(client, options, {
      mayBuffer: inode => !lease.isWanted || held.has(inode),
      ...shown,
      onFailed: (inode, reason) => this.failures.note(inode, reason),
      onPressure: () => this.#sealAll(0),
    });
    lease.addKeeper({
      drop: async revocation => this.#drop(revocation),
      dropAll: async () => {
        for (const file of this.#files.values()) file.mayBeStale();
        this.extents.forEach(extents => extents.clear());
      },
    });
    session.onChangesLost = (inodes, reason) => {
      for (const inode of inodes) this.failures.note(inode, reason);
    };
    session.onSessionLost = () => this.#loseSession();
    session.onServerStarted = lost => this.#serverStarted(lost);
    this.#checkAge();
  }

  get(inode: number): OpenFile | undefined {
    return this.#files.get(inode);
  }

  [Symbol.iterator](): IterableIterator<OpenFile> {
    return this.#files.values();
  }

  /** Those of the inodes that are here; all files when it is undefined. */
  among(inodes: readonly number[] | undefined): OpenFile[] {
    if (!inodes) return [...this.#files.values()];
    return inodes.map(inode => this.#files.get(inode)).filter(file => file !== undefined);
  }

  /**
   * The file for one more handle; the handle reports the file's failures that no handle has reported yet.
   * @param ticket taken before the request that told the attributes
   * @param isNew the file was made just now, and so has no content
   */
  open(attributes: Attributes, ticket: AttributeTicket, isNew: boolean): OpenFile {
    const { inode } = attributes;
    const file = this.#files.get(inode) ?? this.#begin(attributes, isNew);
    file.note(attributes);
    const { lease, attributes: kept } = this.#session;
    // A revocation, or a change of this client, that overtook the reply did not find the file here.
    if (lease.isWanted && !kept.mayKeep(ticket, inode)) file.mayBeStale();
    file.handles += 1;
    return file;
  }

  /** No handle has the file open, and all of it is committed: the next open begins anew. */
  leave(file: OpenFile): void {
    if (file.handles > 0 || this.#files.get(file.inode) !== file) return;
    this.#files.delete(file.inode);
    this.extents.letGo(file.inode);
  }

  /**
   * A file, open or not, has another size, by a change that was logged just now.
   * @param before its size until then
   */
  truncated(attributes: Attributes, before: number): void {
    const { inode, size, version } = attributes;
    const file = this.#files.get(inode);
    if (file) file.truncated(attributes, before);
    else this.extents.known(inode)?.resize(version, Math.min(size, before));
  }

  /** The inode has no name left: unless it is open, nobody will want its extents. */
  forget(inode: number): void {
    const file = this.#files.get(inode);
    if (file) file.hasLostNames = true;
    else this.extents.delete(inode);
  }

  /** Whether nobody can open the file any more, as far as is known here. */
  isNameless(file: OpenFile): boolean {
    const { nlink } = this.#session.attributes.get(file.inode) ?? file.attributes;
    return file.hasLostNames || nlink === 0;
  }

  /** Sends nothing of itself any more. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#dirtyTimer?.cancel();
  }

  #begin(attributes: Attributes, isNew: boolean): OpenFile {
    const { inode } = attributes;
    const extents = this.extents.hold(inode);
    // A reply that was lost, and given again later, tells of before what this client has done since.
    const isOvertaken = extents.version > attributes.version;
    const file = new OpenFile(attributes, isNew && !isOvertaken, extents, this.surroundings);
    if (isOvertaken) file.mayBeStale();
    // The kernel asks before the first write.
    else file.hasNoCapability = isNew;
    this.#files.set(inode, file);
    return file;
  }

  /** Another client changed these. */
  #drop(revocation: Revocation): void {
    for (const { inode, version } of revocation.inodes) {
      this.#files.get(inode)?.mayBeStale();
      // A reply that tells an older version is not taken over any more.
      this.extents.known(inode)?.overtake(version);
    }
  }

  /** Others have gone on without this client: what it has not committed must not be put on top of what they did. */
  #loseSession(): void {
    const reason = new DfsError(
      'EIO',
      'the metadata server gave this client up, which was away for too long',
    );
    for (const file of this.#files.values()) file.abandonWrites(reason);
  }

  #serverStarted(inodes: readonly number[]): void {
    const lost = new Set(inodes);
    const reason = new DfsError(
      'EIO',
      'the metadata server lost its power before changes of the file were on its disk; do them again',
    );
    // Nobody has it open: the next open reports it.
    for (const inode of lost) if (!this.#files.get(inode)?.handles) this.failures.note(inode, reason);
    this.extents.forEach(extents => extents.forget());
    for (const file of this.#files.values()) file.serverStarted(lost.has(file.inode) ? reason : undefined);
  }

  #sealAll(ageMs: number): void {
    for (const file of this.#files.values()) file.sealOlderThan(ageMs);
  }

  #checkAge(): void {
    this.#sealAll(MAX_DIRTY_AGE_MS);
    if (this.#isClosed) return;
    this.#dirtyTimer = this.surroundings.clock.setTimer(DIRTY_CHECK_MS, () => this.#checkAge(), true);
  }
}
