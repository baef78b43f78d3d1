/** Joining the cluster, leaving it, and deciding who may. */
import { X509Certificate } from 'node:crypto';
import { tokenProofKey } from '../../identity/token-proof.js';
import { publicKeyOfSpki, spkiOf } from '../../identity/ed25519.js';
import { requireMemberName, type MemberRole } from '../../identity/member.js';
import { memberOfCertificate } from '../../identity/member-certificate.js';
import { DfsError } from '../../protocol/errors.js';
import { MAX_MEMBERS, MAX_TOKENS } from '../../protocol/limits.js';
import {
  createToken as createTokenCommand,
  join as joinCommand,
  leave as leaveCommand,
  listMembers as listMembersCommand,
  listTokens as listTokensCommand,
  removeMember as removeMemberCommand,
  renewCertificate as renewCommand,
  revokeToken as revokeTokenCommand,
  type MemberStatus,
} from '../../protocol/member-commands.js';
import { operation, type OperationContext } from '../operation.js';
import type { MemberRecord, StoreTransaction } from '../store/store.js';

const MAX_SHOWN_ADDRESSES = 16;
const TOKEN_ID_BYTES = 8;
const TOKEN_SECRET_BYTES = 16;

export const join = operation(joinCommand, async (tx, { name, publicKey }, context) => {
  const joins = context.peer?.member?.joins;
  if (!joins) throw new DfsError('EACCES', 'this connection may not join');
  const { role, token } = joins;
  requireMemberName(name);
  if (await tx.members.get(role, name)) {
    throw new DfsError(
      'EEXIST',
      `there is a member ${role}/${name}; take another name (--name), or remove it first: dfs member remove ${role}/${name}`,
    );
  }
  if ((await tx.members.all()).length >= MAX_MEMBERS)
    throw new DfsError('ENOSPC', `a cluster has at most ${MAX_MEMBERS} members`);
  if (token) {
    const record = await tx.tokens.get(token);
    if (!record || record.expiresMs <= context.nowMs)
      throw new DfsError('EACCES', 'the token was used meanwhile, or has expired');
    if (record.isForOne) await tx.tokens.delete(token);
  }
  await tx.members.insert({ role, name, joinedMs: context.nowMs });
  const certificate = await issue(tx, role, name, publicKey, context);
  return { certificate, authority: spkiOf(context.state.membership.authority.publicKey) };
});

export const renewCertificate = operation(renewCommand, async (tx, { publicKey }, context) => {
  const { role, name } = await requireOwnRecord(tx, context);
  return { certificate: await issue(tx, role, name, publicKey, context) };
});

export const leave = operation(leaveCommand, async (tx, _request, context) => {
  await revoke(tx, await requireOwnRecord(tx, context), context);
  return {};
});

export const removeMember = operation(removeMemberCommand, async (tx, { role, name }, context) => {
  const member = await tx.members.get(role, name);
  if (!member)
    throw new DfsError('ENOENT', `there is no member ${role}/${name}; dfs member list shows those there are`);
  await revoke(tx, member, context);
  return {};
});

export const listMembers = operation(listMembersCommand, async (tx, _request, { state }) => {
  const members: MemberStatus[] = [];
  for (const { role, name, joinedMs } of await tx.members.all()) {
    const expiresMs = await tx.certificates.lastExpiry(role, name);
    const addresses = state.membership.addressesOf(role, name).slice(0, MAX_SHOWN_ADDRESSES);
    members.push({ role, name, joinedMs, expiresMs, addresses });
  }
  return { members };
});

export const createToken = operation(createTokenCommand, async (tx, request, context) => {
  const { role, lifetimeMs, isForOne } = request;
  const { nowMs, state, control } = context;
  const { publicKey } = state.membership.authority;
  await tx.tokens.deleteUntil(nowMs);
  if ((await tx.tokens.all()).length >= MAX_TOKENS)
    throw new DfsError('ENOSPC', `there are ${MAX_TOKENS} tokens; revoke some (dfs token revoke)`);
  const id = state.random.bytes(TOKEN_ID_BYTES);
  const secret = state.random.bytes(TOKEN_SECRET_BYTES);
  const expiresMs = nowMs + lifetimeMs;
  await tx.tokens.insert({ id, secret: tokenProofKey(secret), role, madeMs: nowMs, expiresMs, isForOne });
  control.requireDurable();
  return { id, secret, authority: spkiOf(publicKey), expiresMs };
});

export const listTokens = operation(listTokensCommand, async (tx, _request, { nowMs }) => {
  const tokens = await tx.tokens.all();
  return {
    tokens: tokens.filter(({ expiresMs }) => expiresMs > nowMs).map(({ secret: _secret, ...told }) => told),
  };
});

export const revokeToken = operation(revokeTokenCommand, async (tx, { id }, { control }) => {
  if ((await tx.tokens.delete(id)) === 0)
    throw new DfsError('ENOENT', 'there is no such token; dfs token list shows those there are');
  control.requireDurable();
  return {};
});

/** The record of the member that asks. EACCES when it has shown no certificate, or has none any more. */
async function requireOwnRecord(tx: StoreTransaction, { peer }: OperationContext): Promise<MemberRecord> {
  const certificate = peer?.member?.certificate;
  if (!certificate)
    throw new DfsError(
      'EACCES',
      'this connection has shown no certificate; a key has nothing to renew or to leave',
    );
  const record = await tx.members.get(certificate.role, certificate.name);
  if (!record) throw new DfsError('EACCES', `${certificate.name} is not a member of this cluster any more`);
  return record;
}

async function issue(
  tx: StoreTransaction,
  role: MemberRole,
  name: string,
  spki: Uint8Array,
  { state, nowMs, control }: OperationContext,
): Promise<string> {
  const { authority, certificateLifetimeMs: lifetimeMs } = state.membership;
  const certificate = await authority.issue({
    role,
    name,
    publicKey: publicKeyOfSpki(spki),
    nowMs,
    lifetimeMs,
  });
  const { serial, notAfterMs } = memberOfCertificate(new X509Certificate(certificate), authority.publicKey);
  await tx.certificates.deleteUntil(nowMs);
  await tx.certificates.insert({ serial, role, name, expiresMs: notAfterMs });
  control.requireDurable();
  return certificate;
}

async function revoke(
  tx: StoreTransaction,
  { role, name }: MemberRecord,
  { control }: OperationContext,
): Promise<void> {
  await tx.members.delete(role, name);
  await tx.certificates.revokeAll(role, name);
  control.requireDurable();
}
