/** For whom an export is, as a person types it, and the address by which a client comes (src/metadata/exports/export-target.ts). */
import { parseIdRange } from '../../../src/cli/id-range.js';
import { UsageError } from '../../../src/cli/usage-error.js';
import { parseTarget } from '../../../src/metadata/exports/export-target.js';
import type { Peer } from '../../../src/metadata/peer.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { promise, type Decoder } from '../decoder.js';

const SEEDS = [
  '*',
  'role:client',
  'client/laptop',
  '10.0.0.0/24',
  '10.0.0.1',
  'fe80::/10',
  '::ffff:10.0.0.1/120',
  '1000:2000:50',
];
const MOST = 400;

export const exportTargets: Decoder = {
  name: 'exports',
  words: [
    '/',
    ':',
    '::',
    '::ffff:',
    '*',
    'role:',
    'client/',
    'admin/',
    '%eth0',
    '0.0.0.0/0',
    '/128',
    '/33',
    '255.255.255.255',
  ],
  maxInputBytes: 300,
  make: random => Buffer.from(`${random.pick(SEEDS)}\n${random.pick(SEEDS)}`),
  /** The first line is the target, the rest an address of a peer. */
  decode(input) {
    const [text = '', ...rest] = input.toString('utf8').split('\n');
    checkIds(text);
    const target = parseTarget(text);
    promise(target.precision >= 0 && target.precision < MOST, 'a target is as precise as a number says');
    for (const remoteHost of [rest.join('\n'), '10.0.0.1', '::1', undefined]) {
      const peer = { remoteHost, isClosed: false } as unknown as Peer;
      promise(typeof target.matches(peer) === 'boolean', 'a peer is meant or not');
      promise(
        !text.includes('/') || text.startsWith('role:') || target.precision < 200 || !target.matches(peer),
        'nobody is a member without a certificate',
      );
    }
  },
  mayThrow: error => error instanceof UsageError || (error instanceof DfsError && error.code === 'EINVAL'),
};

function checkIds(text: string): void {
  try {
    const { client, cluster, count } = parseIdRange(text);
    promise(
      Math.max(client, cluster) + count - 1 < 2 ** 32 - 1 && count > 0,
      'a range ends where numbers do',
    );
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}
