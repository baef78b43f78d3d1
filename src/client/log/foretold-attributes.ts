/** Changes of an inode's attributes that this client decides alone (foretold-changes.ts). */
import { setattr } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import {
  setattrPermissionRefusal,
  setattrRefusal,
  withAttributes,
  type SetattrRequest,
} from '../../rules/attributes.js';
import { isAclConsulted } from '../../rules/permissions.js';
import type { Foretelling, ForetellingOptions } from './foretelling.js';

export class ForetoldAttributes {
  readonly #foretelling: Foretelling;
  readonly #options: ForetellingOptions;

  constructor(foretelling: Foretelling, options: ForetellingOptions) {
    this.#foretelling = foretelling;
    this.#options = options;
  }

  /** Changes mode, owner and times, but not the size. */
  setattr(request: SetattrRequest): Attributes | undefined {
    const { inode, mode, uid, gid, size, privilegeLoss, caller } = request;
    const known = this.#foretelling.isReady ? this.#foretelling.own(inode) : undefined;
    if (!known || size !== undefined) return undefined;
    const isOwnerGiven = uid !== undefined || gid !== undefined;
    // An ACL, and capabilities, go along with them.
    const changesXattrs = isOwnerGiven || mode !== undefined || privilegeLoss !== undefined;
    if ((changesXattrs || isAclConsulted(known, caller)) && !this.#options.xattrs.hasNone(inode))
      return undefined;
    if (setattrRefusal(known, request) ?? setattrPermissionRefusal(known, request, undefined))
      return undefined;
    const at = this.#foretelling.now();
    const changed = withAttributes(known, request, at);
    return this.#foretelling.append(setattr, request, at, [changed]) ? changed : undefined;
  }
}
