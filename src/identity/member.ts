/** What a certificate says of its holder: which cluster it belongs to, its role there, and its name. */
import { DfsError } from '../protocol/errors.js';
import { ROLES, type Role } from '../protocol/roles.js';

/** The roles that a certificate can have. The metadata server's is made of the cluster's key alone. */
export const MEMBER_ROLES = [...ROLES, 'metadata'] as const;
export type MemberRole = Role | 'metadata';

export interface Member {
  /** Tells clusters apart: CLUSTER_ID_DIGITS hexadecimal digits of a hash of their authority's public key. */
  readonly cluster: string;
  readonly role: MemberRole;
  /** Unique in the cluster. */
  readonly name: string;
}

export const CLUSTER_ID_DIGITS = 32;
/** As a label of a host name: people name members after their machines. */
const MEMBER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const MEMBER_URI = /^dfs:\/\/([0-9a-f]{32})\/([a-z]+)\/([A-Za-z0-9._-]+)$/;

/** EINVAL, with what is allowed, unless a member may have this name. */
export function requireMemberName(name: string): void {
  if (MEMBER_NAME.test(name)) return;
  throw new DfsError(
    'EINVAL',
    `'${name}' cannot be a member's name; use up to 63 letters, digits, dots, hyphens and underscores, the first one a letter or digit`,
  );
}

/** The member as a URI, which stands in its certificate as a subject alternative name (RFC 5280, 4.2.1.6). */
export function memberUri({ cluster, role, name }: Member): string {
  return `dfs://${cluster}/${role}/${name}`;
}

/** The member that a URI names; undefined for another URI. */
export function memberOfUri(uri: string): Member | undefined {
  const [, cluster, roleName, name] = MEMBER_URI.exec(uri) ?? [];
  const role = MEMBER_ROLES.find(each => each === roleName);
  if (cluster === undefined || !role || name === undefined || !MEMBER_NAME.test(name)) return undefined;
  return { cluster, role, name };
}
