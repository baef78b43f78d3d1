/** Tokens that a person types or pastes (`dfs join --token`). */
import { createHash } from 'node:crypto';
import { formatToken, parseToken } from '../../../src/cli/join-token.js';
import { UsageError } from '../../../src/cli/usage-error.js';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { ROLES } from '../../../src/protocol/roles.js';
import { promise, type Decoder } from '../decoder.js';

const HEAD = 'dfs1-';
const CHECK_BYTES = 4;

export const tokens: Decoder = {
  name: 'tokens',
  words: [HEAD, 'dfs2-', '=', ' ', '\n'],
  make(random) {
    const { publicKey } = new CertificateAuthority(random.bytes(32));
    const token = {
      role: random.pick(ROLES),
      id: random.bytes(8),
      secret: random.bytes(16),
      authority: publicKey,
    };
    return Buffer.from(formatToken(token));
  },
  /** The check at the end is that of what is before it. */
  mend(input) {
    const bytes = Buffer.from(input.toString('latin1').trim().slice(HEAD.length), 'base64url');
    if (bytes.length < CHECK_BYTES) return input;
    const body = bytes.subarray(0, bytes.length - CHECK_BYTES);
    const check = createHash('sha256').update(body).digest().subarray(0, CHECK_BYTES);
    return Buffer.from(HEAD + Buffer.concat([body, check]).toString('base64url'));
  },
  decode(input) {
    const token = parseToken(input.toString('utf8'));
    const again = parseToken(formatToken(token));
    promise(
      again.role === token.role &&
        Buffer.from(again.id).equals(token.id) &&
        Buffer.from(again.secret).equals(token.secret) &&
        again.authority.equals(token.authority),
      'a token that is written again is another one',
    );
  },
  mayThrow: error => error instanceof UsageError,
};
