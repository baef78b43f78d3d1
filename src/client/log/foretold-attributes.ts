/** Changes of an inode's attributes that this client decides alone (foretold-changes.ts). */
import type { Timespec } from '../../platform/clock.js';
import { ACCESS_ACL, CAPABILITY } from '../../protocol/attribute-names.js';
import { setattr } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import {
  setattrPermissionRefusal,
  setattrRefusal,
  withAttributes,
  type SetattrRequest,
} from '../../rules/attributes.js';
import { freedByResize, resized } from '../../rules/content.js';
import {
  MAX_EXTENTS_AHEAD,
  type Foretelling,
  type ForetellingOptions,
  type KnownExtents,
} from './foretelling.js';

/** A file of so few bytes is in few extents, though nobody knows in which. */
const FEW_EXTENTS_BYTES = 1 << 20;

export class ForetoldAttributes {
  readonly #foretelling: Foretelling;
  readonly #options: ForetellingOptions;

  constructor(foretelling: Foretelling, options: ForetellingOptions) {
    this.#foretelling = foretelling;
    this.#options = options;
  }

  /**
   * Changes mode, owner, times and size.
   * @param extents what is known of the file's
   */
  setattr(request: SetattrRequest, extents: KnownExtents | undefined): Attributes | undefined {
    const { inode, mode, uid, gid, size, privilegeLoss, caller } = request;
    const known = this.#foretelling.isReady ? this.#foretelling.own(inode) : undefined;
    if (!known) return undefined;
    const isOwnerGiven = uid !== undefined || gid !== undefined;
    // An ACL, and capabilities, go along with them.
    const changesXattrs = isOwnerGiven || mode !== undefined || privilegeLoss !== undefined;
    const { xattrs } = this.#options;
    if (changesXattrs && !xattrs.lacks(inode, ACCESS_ACL, CAPABILITY)) return undefined;
    if (xattrs.mayAclDecide(known, caller)) return undefined;
    if (setattrRefusal(known, request) ?? setattrPermissionRefusal(known, request, undefined))
      return undefined;
    const at = this.#foretelling.now();
    const sized = size === undefined ? known : this.#resized(known, size, extents, at);
    if (!sized) return undefined;
    const changed = withAttributes(sized, request, at);
    return this.#foretelling.append(setattr, request, at, [changed]) ? changed : undefined;
  }

  /** The file with another size; undefined when it is not known what that frees, or it takes the server long. */
  #resized(
    known: Attributes,
    size: number,
    extents: KnownExtents | undefined,
    at: Timespec,
  ): Attributes | undefined {
    const freed = freedByResize(known, size);
    if (freed === 0) return resized(known, size, 0, at);
    const tail = extents?.version === known.version ? extents.covered(size, known.size) : undefined;
    if (tail) return tail.extents > MAX_EXTENTS_AHEAD ? undefined : resized(known, size, tail.bytes, at);
    return freed === undefined || freed > FEW_EXTENTS_BYTES ? undefined : resized(known, size, freed, at);
  }
}
