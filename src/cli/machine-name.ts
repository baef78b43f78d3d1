/** What this machine is called as a member of a cluster, when nobody says otherwise. */
import { hostname } from 'node:os';

const MAX_NAME_CHARACTERS = 63;

/** The host's name, as far as a member may be called so (identity/member.ts). */
export function machineName(): string {
  const name = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return name.slice(0, MAX_NAME_CHARACTERS) || 'unnamed';
}
