/** Extended attributes with a meaning for DFS. */

/** What a file that is executed may do without being root (capabilities(7)); goes when it is written to. */
export const CAPABILITY = Buffer.from('security.capability');

/** By which POSIX ACLs travel and are kept (acl(5)): for access, and for what is made in a directory. */
export const ACCESS_ACL = Buffer.from('system.posix_acl_access');
export const DEFAULT_ACL = Buffer.from('system.posix_acl_default');
