/** Fields that requests to the metadata server share. */
import { Type, type Static } from '@sinclair/typebox';
import { MAX_DIRECTORY_PAGE } from './limits.js';
import { Attributes, Caller, InodeNumber, NameBytes, PrivilegeLoss, U32 } from './types.js';

export const Nothing = Type.Object({});
export const Dentry = { parent: InodeNumber, name: NameBytes };
export const Owner = { uid: U32, gid: U32 };
/** Who may be refused; left out for root, and for what the client does of itself. */
export const By = { caller: Type.Optional(Caller) };
/** Permissions that `mode` does not give, unless the directory has a default ACL (umask(2), acl(5)); none left out. */
export const Umask = { umask: Type.Optional(U32) };
/** Whoever changes the file lacks CAP_FSETID: setuid, setgid and capabilities go (write(2), truncate(2)). */
export const WithPrivilegeLoss = { privilegeLoss: Type.Optional(PrivilegeLoss) };
/** The new inode's number, from those that the session was given (`hold`, `batch`). */
export const Numbered = { number: Type.Optional(InodeNumber) };
export const Page = Type.Integer({ minimum: 1, maximum: MAX_DIRECTORY_PAGE });
export const WithAttributes = Type.Object({ attributes: Attributes });

/** The inode that a request has made, for what its command says that it changes: by its reply, or the number given to it. */
export function newInode(
  number: number | undefined,
  reply: Static<typeof WithAttributes> | undefined,
): readonly number[] {
  const inode = reply?.attributes.inode ?? number;
  return inode === undefined ? [] : [inode];
}
