/** For whom an export is: one member, those of an address range, those of a role, or everybody. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { MEMBER_ROLES } from '../../identity/member.js';
import { DfsError } from '../../protocol/errors.js';
import type { Peer } from '../peer.js';

export interface ExportTarget {
  /** The rules with the highest number of those that match a client are its rules: its name, the smallest range, its role, everybody. */
  readonly precision: number;
  matches(peer: Peer): boolean;
}

const EVERYBODY: ExportTarget = { precision: 0, matches: () => true };
const ROLE_PRECISION = 1;
/** Of a range, with the length of its prefix added: 2 to 130. */
const RANGE_PRECISION = 2;
const MEMBER_PRECISION = 200;

const MAPPED_IPV4 = '::ffff:';
const IPV4_BITS = 32;
const IPV6_BITS = 128;
const ROLE_PREFIX = 'role:';
const EXPORTED_ROLES: ReadonlySet<string> = new Set(['client', 'admin']);

/** EINVAL, naming what there is, for a text that is no target. */
export function parseTarget(text: string): ExportTarget {
  if (text === '*') return EVERYBODY;
  if (text.startsWith(ROLE_PREFIX)) return roleTarget(text.slice(ROLE_PREFIX.length), text);
  const range = rangeTarget(text);
  if (range) return range;
  const [role, name, ...more] = text.split('/');
  const isMember = role !== undefined && name !== undefined && name !== '' && more.length === 0;
  if (!isMember || !MEMBER_ROLES.some(each => each === role)) throw noTarget(text);
  requireMountingRole(role, text);
  return {
    precision: MEMBER_PRECISION,
    matches: ({ member }) => member?.certificate?.role === role && member.certificate.name === name,
  };
}

function roleTarget(role: string, text: string): ExportTarget {
  requireMountingRole(role, text);
  // The metadata server's own certificate is an administrator's.
  return { precision: ROLE_PRECISION, matches: ({ member }) => member?.role === role };
}

/** An address, or a range of them as 10.0.0.0/24; undefined for what is neither. */
function rangeTarget(text: string): ExportTarget | undefined {
  const [address = '', prefixText, ...more] = text.split('/');
  const isV4 = isIPv4(address);
  if ((!isV4 && !isIPv6(address)) || more.length > 0) return undefined;
  const most = isV4 ? IPV4_BITS : IPV6_BITS;
  const prefix = prefixText === undefined ? most : Number(prefixText);
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) throw noTarget(text);
  if (prefix > most) throw noTarget(text);
  const list = new BlockList();
  list.addSubnet(address, prefix, isV4 ? 'ipv4' : 'ipv6');
  return {
    // A range of IPv4 is as precise as the one of IPv6 that stands for it.
    precision: RANGE_PRECISION + prefix + (isV4 ? IPV6_BITS - IPV4_BITS : 0),
    matches: ({ remoteHost }) => remoteHost !== undefined && isInList(list, remoteHost),
  };
}

function isInList(list: BlockList, host: string): boolean {
  const address = host.startsWith(MAPPED_IPV4) ? host.slice(MAPPED_IPV4.length) : host.replace(/%.*$/, '');
  if (isIPv4(address)) return list.check(address, 'ipv4');
  return isIPv6(address) && list.check(address, 'ipv6');
}

function requireMountingRole(role: string, text: string): void {
  if (EXPORTED_ROLES.has(role)) return;
  throw new DfsError('EINVAL', `'${text}' mounts nothing: clients and admins do`);
}

function noTarget(text: string): DfsError {
  return new DfsError(
    'EINVAL',
    `'${text}' is nobody an export can be for; say a member (client/laptop), an address or a range (10.0.0.0/24), a role (role:client), or '*'`,
  );
}
