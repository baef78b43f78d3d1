/**
 * POSIX access control lists: the kernel's binary form (<linux/posix_acl_xattr.h>), and how an ACL and the permission
 * bits follow each other (acl(5), withdrawn POSIX 1003.1e draft 17). Pure functions; xattrs.ts and creation.ts keep them.
 */
import { DfsError } from '../protocol/errors.js';

/** e_tag */
export const AclTag = {
  userObject: 0x01,
  user: 0x02,
  groupObject: 0x04,
  group: 0x08,
  mask: 0x10,
  other: 0x20,
} as const;

export interface AclEntry {
  readonly tag: number;
  /** r = 4, w = 2, x = 1 */
  readonly permissions: number;
  /** A uid or gid for `user` and `group`; NO_ID for the rest. */
  readonly id: number;
}

/** Entries in the order of acl(5): the owner, users, the owning group, groups, the mask, others. */
export type Acl = readonly AclEntry[];

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const NO_ID = 0xffff_ffff;
const RWX = 0o7;
const RWX_ALL = 0o777;
/** The tags that may follow each one; an ACL begins as if after 0, and ends with `other` (posix_acl_valid). */
const MAY_FOLLOW: ReadonlyMap<number, number> = new Map([
  [0, AclTag.userObject],
  [AclTag.userObject, AclTag.user | AclTag.groupObject],
  [AclTag.user, AclTag.user | AclTag.groupObject],
  [AclTag.groupObject, AclTag.group | AclTag.mask | AclTag.other],
  [AclTag.group, AclTag.group | AclTag.mask],
  [AclTag.mask, AclTag.other],
  [AclTag.other, 0],
]);

/**
 * Reads an ACL from an attribute's value; undefined for one without entries, which means none at all. EINVAL for what
 * acl(5) does not call valid; EOPNOTSUPP for another version of the form.
 */
export function decodeAcl(value: Uint8Array): Acl | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < HEADER_BYTES) throw malformed('it has no header');
  const version = bytes.readUInt32LE(0);
  if (version !== VERSION) throw new DfsError('EOPNOTSUPP', `ACLs of version ${version} are not known here`);
  if ((bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) throw malformed('its last entry is cut off');
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    const tag = bytes.readUInt16LE(at);
    const isNamed = tag === AclTag.user || tag === AclTag.group;
    // Only named entries have an id; what stands there in the others is not looked at.
    const id = isNamed ? bytes.readUInt32LE(at + 4) : NO_ID;
    acl.push({ tag, permissions: bytes.readUInt16LE(at + 2), id });
  }
  if (acl.length === 0) return undefined;
  check(acl);
  return acl;
}

export function encodeAcl(acl: Acl): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + acl.length * ENTRY_BYTES);
  bytes.writeUInt32LE(VERSION, 0);
  for (const [index, { tag, permissions, id }] of acl.entries()) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(permissions, at + 2);
    bytes.writeUInt32LE(id, at + 4);
  }
  return bytes;
}

/** An ACL of three entries says what the permission bits say, and is not kept besides them. */
export function isMinimal(acl: Acl): boolean {
  return acl.every(
    ({ tag }) => tag === AclTag.userObject || tag === AclTag.groupObject || tag === AclTag.other,
  );
}

/**
 * The mode of a file that is given the access ACL: acl(5), "correspondence between ACL entries and file permission
 * bits". Bits other than the nine permissions stay.
 */
export function modeWithAcl(mode: number, acl: Acl): number {
  const group = permissionsOf(acl, AclTag.mask) ?? permissionsOf(acl, AclTag.groupObject) ?? 0;
  const owner = permissionsOf(acl, AclTag.userObject) ?? 0;
  const other = permissionsOf(acl, AclTag.other) ?? 0;
  return (mode & ~RWX_ALL) | (owner << 6) | (group << 3) | other;
}

/** The access ACL of a file that is given the mode by chmod(2): the group's bits are the mask's, where there is one. */
export function aclWithMode(acl: Acl, mode: number): Acl {
  return mapModeEntries(acl, (_, bits) => bits, mode);
}

/** What an inode has when it is created in a directory with a default ACL. */
export interface Inherited {
  readonly mode: number;
  /** Undefined when the mode says it all. */
  readonly access: Acl | undefined;
}

/**
 * acl(5), "object creation and default ACLs": the new access ACL is the directory's default ACL, without the permissions
 * that the mode of the creation does not have. The umask does not count.
 */
export function inheritAcl(directoryDefault: Acl, mode: number): Inherited {
  const access = mapModeEntries(directoryDefault, (permissions, bits) => permissions & bits, mode);
  return { mode: modeWithAcl(mode, access), access: isMinimal(access) ? undefined : access };
}

/** Changes the three entries that the mode's bits stand for. */
function mapModeEntries(acl: Acl, change: (permissions: number, bits: number) => number, mode: number): Acl {
  const groupTag = acl.some(({ tag }) => tag === AclTag.mask) ? AclTag.mask : AclTag.groupObject;
  const shifts = new Map<number, number>([
    [AclTag.userObject, 6],
    [groupTag, 3],
    [AclTag.other, 0],
  ]);
  return acl.map(entry => {
    const shift = shifts.get(entry.tag);
    if (shift === undefined) return entry;
    return { ...entry, permissions: change(entry.permissions, (mode >> shift) & RWX) };
  });
}

function permissionsOf(acl: Acl, tag: number): number | undefined {
  return acl.find(entry => entry.tag === tag)?.permissions;
}

/** EINVAL for an ACL that acl_valid(3) would refuse. */
function check(acl: Acl): void {
  let before = 0;
  let isMaskNeeded = false;
  for (const { tag, permissions, id } of acl) {
    const allowed = MAY_FOLLOW.get(before) ?? 0;
    // The tag is one bit, so that a made-up combination of allowed ones does not pass.
    if ((allowed & tag) === 0 || !MAY_FOLLOW.has(tag))
      throw malformed('an entry is missing, twice there or misplaced');
    if ((permissions & ~RWX) !== 0) throw malformed('it has permissions other than r, w and x');
    const isNamed = tag === AclTag.user || tag === AclTag.group;
    if (isNamed && id === NO_ID) throw malformed('an entry names nobody');
    isMaskNeeded ||= isNamed;
    if (tag === AclTag.other && isMaskNeeded && before !== AclTag.mask) {
      throw malformed('named users or groups need a mask');
    }
    before = tag;
  }
  if (before !== AclTag.other) throw malformed('the entry for others is missing');
}

function malformed(why: string): DfsError {
  return new DfsError('EINVAL', `this is no valid ACL: ${why}`);
}
