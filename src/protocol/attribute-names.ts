/** Extended attributes that mean something here. */

/** What a file that is executed may do without being root (capabilities(7)); goes when it is written to. */
export const CAPABILITY = Buffer.from('security.capability');

/** Of POSIX ACLs (acl(5)). */
export const ACCESS_ACL = Buffer.from('system.posix_acl_access');
export const DEFAULT_ACL = Buffer.from('system.posix_acl_default');
