/** Tokens as people copy them. */
import t from 'tap';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { spkiOf } from '../../../src/identity/ed25519.js';
import { formatToken, parseToken } from '../../../src/cli/join-token.js';
import { UsageError } from '../../../src/cli/usage-error.js';
import { ROLES } from '../../../src/protocol/roles.js';

const authority = new CertificateAuthority(Buffer.alloc(32, 1)).publicKey;
const token = { role: 'node', id: Buffer.alloc(8, 2), secret: Buffer.alloc(16, 3), authority } as const;

t.test('what is formatted is parsed, with white space around it', async t => {
  for (const role of ROLES) {
    const text = formatToken({ ...token, role });
    t.match(text, /^dfs1-[\w-]{96,100}$/, 'a word that a shell leaves alone');
    const parsed = parseToken(`  ${text}\n`);
    t.match(parsed, { role, id: token.id, secret: token.secret });
    t.same(spkiOf(parsed.authority), spkiOf(authority));
  }
});

t.test('one that is cut off, or mistyped, is told from a token', async t => {
  const text = formatToken(token);
  for (let length = 0; length < text.length; length += 1)
    t.throws(() => parseToken(text.slice(0, length)), UsageError);
  for (const at of [0, 5, 10, 40, text.length - 1]) {
    const other = text[at] === 'x' ? 'y' : 'x';
    t.throws(() => parseToken(text.slice(0, at) + other + text.slice(at + 1)), UsageError, `at ${at}`);
  }
  t.throws(() => parseToken(`${text}AAAA`), UsageError);
});
