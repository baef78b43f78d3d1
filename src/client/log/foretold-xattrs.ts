/** Changes of extended attributes that this client decides alone (foretold-changes.ts). */
import { ACCESS_ACL, CAPABILITY, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { GOAL_ATTRIBUTE } from '../../protocol/limits.js';
import { removexattr, setxattr } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import {
  setxattrRefusal,
  withMode,
  xattrFlagRefusal,
  xattrNameRefusal,
  xattrRoomRefusal,
  xattrWriteRefusal,
} from '../../rules/xattrs.js';
import { xattrKey, xattrNames, type Xattrs } from '../caches/xattr-cache.js';
import type { By, XattrValue } from '../namespace/credentials.js';
import type { Foretelling, ForetellingOptions } from './foretelling.js';

/** Longer values are sent to the server at once. */
const MAX_VALUE_BYTES = 4096;
/** They do more than to be kept: the server sees to them. */
const MEANINGFUL = new Set([ACCESS_ACL, DEFAULT_ACL, CAPABILITY, Buffer.from(GOAL_ATTRIBUTE)].map(xattrKey));

export class ForetoldXattrs {
  readonly #foretelling: Foretelling;
  readonly #options: ForetellingOptions;

  constructor(foretelling: Foretelling, options: ForetellingOptions) {
    this.#foretelling = foretelling;
    this.#options = options;
  }

  /** Gives an inode an extended attribute; false when the server is to decide. */
  set(inode: number, { name, value, flags, stripSetgid }: XattrValue, by: By): boolean {
    const known = this.#known(inode, name, by);
    if (!known || value.length > MAX_VALUE_BYTES) return false;
    const { attributes, all } = known;
    const key = xattrKey(name);
    // It is kept until the server has it, and shown from here on.
    const kept = Buffer.from(value);
    const request = { inode, name: Buffer.from(name), value: kept, flags, stripSetgid, ...by };
    if (setxattrRefusal(request) ?? xattrFlagRefusal(request, all.has(key))) return false;
    if (!all.has(key) && xattrRoomRefusal(xattrNames(all), name)) return false;
    return this.#decide(setxattr, request, attributes, new Map(all).set(key, kept));
  }

  /** Takes an extended attribute away; false when the server is to decide. */
  remove(inode: number, name: Uint8Array, by: By): boolean {
    const known = this.#known(inode, name, by);
    const left = new Map(known?.all);
    if (!known || !left.delete(xattrKey(name))) return false;
    return this.#decide(removexattr, { inode, name: Buffer.from(name), ...by }, known.attributes, left);
  }

  /** What is known of an inode whose attribute may be changed here. */
  #known(
    inode: number,
    name: Uint8Array,
    { caller }: By,
  ): { readonly attributes: Attributes; readonly all: Xattrs } | undefined {
    if (MEANINGFUL.has(xattrKey(name)) || xattrNameRefusal(name)) return undefined;
    const { xattrs } = this.#options;
    const attributes = this.#foretelling.isReady ? this.#foretelling.own(inode) : undefined;
    const all = attributes && xattrs.all(inode);
    if (!all || xattrs.mayAclDecide(attributes, caller)) return undefined;
    return xattrWriteRefusal(attributes, name, caller, undefined) ? undefined : { attributes, all };
  }

  #decide(
    command: typeof setxattr | typeof removexattr,
    request: object,
    attributes: Attributes,
    all: Xattrs,
  ): boolean {
    const at = this.#foretelling.now();
    const changed = withMode(attributes, attributes.mode, at);
    if (!this.#foretelling.append(command, request, at, [changed])) return false;
    this.#options.xattrs.decided(attributes.inode, all);
    return true;
  }
}
