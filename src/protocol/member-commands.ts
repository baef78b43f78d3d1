/** The metadata server's commands for becoming a member of the cluster, and for those who decide who is one. */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import { MAX_MEMBERS, MAX_TOKENS } from './limits.js';
import { Nothing } from './request-shapes.js';
import { ADMINS, JOINERS, MEMBERS, METADATA_SERVER, ROLES } from './roles.js';
import { SafeInteger } from './types.js';

/** An Ed25519 public key, as SubjectPublicKeyInfo. */
const PublicKey = Type.Uint8Array({ minByteLength: 44, maxByteLength: 44 });
/** X.509, PEM. */
const Certificate = Type.String({ maxLength: 4096 });
const MemberName = Type.String({ minLength: 1, maxLength: 63 });
const RoleName = Type.Union(ROLES.map(role => Type.Literal(role)));
const Serial = Type.String({ maxLength: 64 });
/** ms since the epoch, by the metadata server's clock */
const Moment = SafeInteger;
const TokenId = Type.Uint8Array({ minByteLength: 8, maxByteLength: 8 });

/**
 * Makes the holder of a token, or of a role's key, a member with a certificate. EEXIST when a member of the role has that name, EINVAL
 * for a name or key that cannot be, EACCES when the token was used meanwhile.
 */
export const join = command('join', 100, {
  allow: JOINERS,
  request: Type.Object({ name: MemberName, publicKey: PublicKey }),
  reply: Type.Object({
    certificate: Certificate,
    /** The public key of the cluster's authority, by which the member knows the others. */
    authority: PublicKey,
  }),
});

/** A new certificate for the member that asks, which it must do by its old one. The old one holds until it expires. */
export const renewCertificate = command('renewcertificate', 101, {
  allow: MEMBERS,
  request: Type.Object({ publicKey: PublicKey }),
  reply: Type.Object({ certificate: Certificate }),
});

/** The member that asks, by its certificate, is none any more. */
export const leave = command('leave', 102, { allow: MEMBERS, request: Nothing, reply: Nothing });

/** A token by which others join, as `role`. */
export const createToken = command('createtoken', 103, {
  allow: ADMINS,
  request: Type.Object({
    role: RoleName,
    lifetimeMs: Type.Integer({ minimum: 1000, maximum: 366 * 86_400_000 }),
    /** One may join by it, and no others. */
    isForOne: Type.Boolean(),
  }),
  reply: Type.Object({
    id: TokenId,
    secret: Type.Uint8Array({ minByteLength: 16, maxByteLength: 16 }),
    authority: PublicKey,
    expiresMs: Moment,
  }),
});

export const Token = Type.Object({
  id: TokenId,
  role: RoleName,
  madeMs: Moment,
  expiresMs: Moment,
  isForOne: Type.Boolean(),
});
export type Token = Static<typeof Token>;

/** The tokens that count, without their secrets. */
export const listTokens = command('listtokens', 104, {
  allow: ADMINS,
  request: Nothing,
  reply: Type.Object({ tokens: Type.Array(Token, { maxItems: MAX_TOKENS }) }),
});

/** ENOENT when there is no such token. */
export const revokeToken = command('revoketoken', 105, {
  allow: ADMINS,
  request: Type.Object({ id: TokenId }),
  reply: Nothing,
});

export const MemberStatus = Type.Object({
  role: Type.Union([...ROLES, 'metadata' as const].map(role => Type.Literal(role))),
  name: MemberName,
  joinedMs: Moment,
  /** Of its newest certificate; 0: it has expired. */
  expiresMs: Moment,
  /** The addresses of its connections to the metadata server. */
  addresses: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 16 }),
});
export type MemberStatus = Static<typeof MemberStatus>;

export const listMembers = command('listmembers', 106, {
  allow: ADMINS,
  request: Nothing,
  reply: Type.Object({ members: Type.Array(MemberStatus, { maxItems: MAX_MEMBERS }) }),
});

/** From now on its certificates do not count, anywhere in the cluster. ENOENT when there is no such member. */
export const removeMember = command('removemember', 107, {
  allow: ADMINS,
  request: Type.Object({ role: RoleName, name: MemberName }),
  reply: Nothing,
});

/** All certificates that do not count any more. */
export const revoked = command('revoked', 108, {
  allow: METADATA_SERVER,
  request: Type.Object({ serials: Type.Array(Serial, { maxItems: MAX_MEMBERS }) }),
  reply: Nothing,
  maxRequestBytes: 1 << 20,
});
