/** Addresses, versions and names as people and other machines give them. */
import { parseHost, parseMountSource, parsePort, parseServerUrl } from '../../../src/cli/address.js';
import { UsageError } from '../../../src/cli/usage-error.js';
import { requireMemberName } from '../../../src/identity/member.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { requireCompatible, VERSION } from '../../../src/protocol/version.js';
import { promise, type Decoder } from '../decoder.js';

const SEEDS = [
  '127.0.0.1:8000',
  'dfs://host:8000/',
  '[::1]:8000',
  'host',
  'fe80::1%eth0',
  VERSION,
  '0.2.0-rc.1',
  'node-1',
];

export const addresses: Decoder = {
  name: 'addresses',
  words: ['dfs://', '[', ']', ':', '%', '/', '0.', '.1.', '8000', '65536', '\n', '\0'],
  maxInputBytes: 512,
  make: random => Buffer.from(random.pick(SEEDS)),
  decode(input) {
    const text = input.toString('utf8');
    const refusals: unknown[] = [];
    for (const parse of PARSERS) {
      try {
        parse(text);
      } catch (error) {
        if (!isRefused(error)) throw error;
        refusals.push(error);
      }
    }
    if (refusals.length === PARSERS.length) throw refusals[0];
  },
  mayThrow: isRefused,
};

function checkServer(text: string): void {
  const { host, port } = parseServerUrl(text);
  promise(host !== '' && port >= 1 && port <= 65_535, 'an address has a host and a port');
}

function checkSource(text: string): void {
  const { server, path } = parseMountSource(text);
  promise(server.host !== '' && path.startsWith('/'), 'what is mounted has a host and a path');
}

function checkHost(text: string): void {
  promise(!/[\s/@]/.test(parseHost(text)), 'a host has no white space and no path');
}

function checkPort(text: string): void {
  promise(Number.isSafeInteger(parsePort(text)), 'a port is a number');
}

function isRefused(error: unknown): boolean {
  return (
    error instanceof UsageError || (error instanceof DfsError && ['EINVAL', 'EPROTO'].includes(error.code))
  );
}

const PARSERS: readonly ((text: string) => void)[] = [
  checkServer,
  checkSource,
  checkHost,
  checkPort,
  requireMemberName,
  text => requireCompatible(text),
];
