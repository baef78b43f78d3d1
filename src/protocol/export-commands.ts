/** Exports: which clients of other machines may mount which subtree, and as which users (docs/exports.md). */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import { MAX_EXPORTS, MAX_ID_RANGES, MAX_PATH_NAMES } from './limits.js';
import { Nothing } from './request-shapes.js';
import { ADMINS } from './roles.js';
import { InodeNumber, NameBytes, SafeInteger, U32 } from './types.js';

/** Which of a client's users count as the anonymous one: none, root, or all of them. */
export const SQUASHES = ['none', 'root', 'all'] as const;

/** What users and groups without rights of their own are, by default: nobody and nogroup. */
export const ANONYMOUS_ID = 65_534;

/** The `count` numbers from `client` on, as the client's machine has them, are those from `cluster` on in the cluster. */
const IdRange = Type.Object({
  client: U32,
  cluster: U32,
  count: Type.Integer({ minimum: 1, maximum: 2 ** 32 }),
});
export type IdRange = Static<typeof IdRange>;

/** Which users of the cluster a client's users are. */
const IDENTITIES = {
  squash: Type.Union(SQUASHES.map(each => Type.Literal(each))),
  anonUid: Type.Integer({ minimum: 1, maximum: 0xffff_fffe }),
  anonGid: Type.Integer({ minimum: 1, maximum: 0xffff_fffe }),
  /** Empty: every number is the same on both sides. Otherwise numbers that no range has are anonymous. */
  uids: Type.Array(IdRange, { maxItems: MAX_ID_RANGES }),
  gids: Type.Array(IdRange, { maxItems: MAX_ID_RANGES }),
};
const Identities = Type.Object(IDENTITIES);
export type Identities = Static<typeof Identities>;

const Path = Type.Array(NameBytes, { maxItems: MAX_PATH_NAMES });

/** What a session may do; nothing is said of one that may do everything. */
export const Rights = Type.Object({
  ...IDENTITIES,
  /** The directory that the session sees as its root, and its path. */
  root: InodeNumber,
  path: Path,
  readOnly: Type.Boolean(),
});
export type Rights = Static<typeof Rights>;

/** Members: `client/laptop`, `10.0.0.0/24`, `role:client` or `*`. */
const Target = Type.String({ minLength: 1, maxLength: 80 });

export const ExportRule = Type.Object({ id: SafeInteger, target: Target, ...Rights.properties });
export type ExportRule = Static<typeof ExportRule>;

/** ENOENT and ENOTDIR for the path, EINVAL for the target, EEXIST when there is a rule for both. */
export const addExport = command('addexport', 109, {
  allow: ADMINS,
  request: Type.Object({ path: Path, target: Target, readOnly: Type.Boolean(), ...IDENTITIES }),
  reply: Type.Object({ id: SafeInteger }),
  maxRequestBytes: 64 << 10,
});

export const listExports = command('listexports', 110, {
  allow: ADMINS,
  request: Nothing,
  reply: Type.Object({ exports: Type.Array(ExportRule, { maxItems: MAX_EXPORTS }) }),
});

/** ENOENT. */
export const removeExport = command('removeexport', 111, {
  allow: ADMINS,
  request: Type.Object({ id: SafeInteger }),
  reply: Nothing,
});
