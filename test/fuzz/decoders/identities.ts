/** Files with an identity, and with keys, which people carry about and edit (src/cli/identity-files.ts, key-file.ts). */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findIdentity, identityPath, saveIdentity } from '../../../src/cli/identity-files.js';
import { readKeyFile } from '../../../src/cli/key-file.js';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { selfIssued } from '../../../src/identity/identity.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ROLES } from '../../../src/protocol/roles.js';
import { Keyring } from '../../../src/rpc/keyring.js';
import { readFileSync } from 'node:fs';
import { promise, type Decoder } from '../decoder.js';

const NOW_MS = Date.UTC(2026, 10, 30);
const LIFETIME_MS = 86_400_000;

export async function identities(): Promise<Decoder> {
  const home = mkdtempSync(join('/dev/shm', 'dfs-fuzz-identities-'));
  process.env['DFS_HOME'] = home;
  const path = identityPath('client');
  const keyPath = join(home, 'key');
  const identity = await selfIssued(
    new CertificateAuthority(Buffer.alloc(32, 1)),
    'client',
    'a',
    NOW_MS,
    LIFETIME_MS,
  );
  await saveIdentity(path, identity);
  const genuine = readFileSync(path);
  const keys = Keyring.ofCluster(Buffer.alloc(32, 3), 'fuzz');
  mkdirSync(dirname(path), { recursive: true });
  return {
    name: 'identities',
    words: [
      '-----BEGIN ',
      '-----END ',
      'PRIVATE KEY-----',
      'CERTIFICATE-----',
      'PUBLIC KEY-----',
      '\n',
      'dfs-client:',
      'dfs-node:',
      '=',
    ],
    make: random => (random.isChance(0.5) ? genuine : Buffer.from(keys.exportRole(random.pick(ROLES)))),
    async decode(input) {
      for (const each of [path, keyPath]) {
        writeFileSync(each, input, { mode: 0o600 });
        chmodSync(each, 0o600);
      }
      const failures: unknown[] = [];
      try {
        const found = findIdentity(['client']);
        promise(found !== undefined, 'a file that is there is found');
        await saveIdentity(path, found.identity);
        const again = findIdentity(['client'])?.identity;
        promise(
          again?.member.serial === found.identity.member.serial,
          'an identity that is written again is another one',
        );
      } catch (error) {
        if (!isRefused(error)) throw error;
        failures.push(error);
      }
      const ring = readKeyFile(keyPath);
      promise(
        ROLES.some(role => ring.holds(role)),
        'a keyring holds a key',
      );
      if (failures.length > 0) throw failures[0];
    },
    mayThrow: isRefused,
    close: async () => {
      rmSync(home, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}

function isRefused(error: unknown): boolean {
  return error instanceof DfsError && (error.code === 'EINVAL' || error.code === 'EACCES');
}
