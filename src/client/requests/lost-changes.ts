/**
 * Changes that were acknowledged to a program and are gone: the server lost its power, or it refused what this client had
 * acknowledged. `fsync` of the inode or the directory reports each once; `syncfs` reports that there are any.
 */
import { DfsError } from '../../protocol/errors.js';
import { decodeFailure, encodeFailure, type SessionState } from '../../protocol/take-over.js';

/** Inodes of which a loss is remembered; beyond it every directory may have lost names. */
const MAX_INODES = 4096;

export class LostChanges {
  /** inode, or directory that lost names → why; until that was told */
  readonly #inodes = new Map<number, DfsError>();
  /** Names are lost, and nobody knows in which directories. */
  #anywhere: DfsError | undefined;
  /** The newest failure, for `syncfs`. */
  #any: DfsError | undefined;

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): SessionState['lost'] {
    return {
      inodes: [...this.#inodes].map(([inode, reason]) => ({ inode, failure: encodeFailure(reason) })),
      ...(this.#anywhere ? { anywhere: encodeFailure(this.#anywhere) } : {}),
      ...(this.#any ? { any: encodeFailure(this.#any) } : {}),
    };
  }

  /** Takes over what an earlier process did not report. */
  restore({ inodes, anywhere, any }: SessionState['lost']): void {
    for (const { inode, failure } of inodes) this.#inodes.set(inode, decodeFailure(failure));
    this.#anywhere = anywhere && decodeFailure(anywhere);
    this.#any = any && decodeFailure(any);
  }

  /** Changes of these inodes, or of names in them, are gone. */
  add(inodes: Iterable<number>, reason: DfsError): void {
    for (const inode of inodes) {
      if (this.#inodes.size >= MAX_INODES) this.#anywhere = reason;
      else this.#inodes.set(inode, reason);
      this.#any = reason;
    }
  }

  /** Changes of names are gone, nobody knows which. */
  addUnknown(reason: DfsError): void {
    this.#anywhere = reason;
  }

  /** EIO, once, when changes of the inode, or of names in it, are gone. */
  tell(inode: number): void {
    const lost = this.#inodes.get(inode) ?? this.#anywhere;
    if (!this.#inodes.delete(inode)) this.#anywhere = undefined;
    if (lost) throw lost;
  }

  /** EIO, once, when any changes are gone. */
  tellAny(): void {
    const lost = this.#any ?? this.#anywhere;
    this.#any = undefined;
    this.#anywhere = undefined;
    if (lost) throw lost;
  }
}

/** The failure of changes that were answered, and that the server has lost with its power. */
export function lostWithPower(what: string): DfsError {
  return new DfsError(
    'EIO',
    `the metadata server lost its power before changes of ${what} were on its disk; look what is there, and do them again`,
  );
}
