/** The commands by which other machines join a cluster, with tokens in them. */
import { publicKeyOfSpki } from '../identity/ed25519.js';
import type { Endpoint } from '../platform/network.js';
import { formatEndpoint } from './address.js';
import { withFileSystem } from './client-options.js';
import { formatToken } from './join-token.js';

const TOKEN_LIFETIME_MS = 3_600_000;
const TIMEOUT_MS = 30_000;

/**
 * Makes a token for data nodes and one for clients, for any number of machines within an hour, and returns lines for people. As for other
 * commands of administrators, when the server does not answer.
 * @param local by which this machine reaches the metadata server
 * @param server by which others do
 */
export async function joinCommands(local: Endpoint, server: Endpoint): Promise<string[]> {
  const url = `dfs://${formatEndpoint(server)}`;
  const settings = { keyFile: undefined, timeout: TIMEOUT_MS, logLevel: 'silent', role: 'admin' } as const;
  const lines: string[] = [];
  await withFileSystem('join', local, settings, async ({ cluster }) => {
    for (const [role, words, directory] of [
      ['node', 'On each machine with disks:  ', ' /srv/dfs'],
      ['client', 'On each machine that mounts: ', ''],
    ] as const) {
      const made = await cluster.createToken({ role, lifetimeMs: TOKEN_LIFETIME_MS, isForOne: false });
      const token = formatToken({ ...made, role, authority: publicKeyOfSpki(made.authority) });
      lines.push(`${words}  dfs join ${url}${directory} --token ${token}`);
    }
  });
  return lines;
}

/** What the one who lets machines in should know. */
export const ROOT_OF_OTHERS =
  'Root of other machines is nobody there, unless: dfs export add / --to client/NAME --no-root-squash';
