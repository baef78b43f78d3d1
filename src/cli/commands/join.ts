import { readFile } from 'node:fs/promises';
import { createLogger } from '../../platform/log.js';
import type { Endpoint } from '../../platform/network.js';
import { toDfsError } from '../../protocol/errors.js';
import { ROLES, type Role } from '../../protocol/roles.js';
import { formatEndpoint, parsePort, parseServerUrl } from '../address.js';
import { defineCommand } from '../command.js';
import { hasIdentity, identityPath, saveIdentity } from '../identity-files.js';
import { parseToken } from '../join-token.js';
import { LONE_DASH } from '../program.js';
import { clusterKeyring, KEY_FILE_OPTION } from '../key-option.js';
import { machineName } from '../machine-name.js';
import { machineLayout } from '../machine/machine-layout.js';
import { machineServices } from '../machine/machine-services.js';
import { startNodeService } from '../machine/node-service.js';
import { recordServer } from '../machine/server-record.js';
import { prepareState, serviceAccount } from '../machine/service-account.js';
import { joinCluster, type Admission } from '../membership.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

/** Other words for a role. */
const DATA_NODE = 'data-node';
const METADATA = 'metadata';

export const join = defineCommand({
  name: 'join',
  positionals: '<server> [datapath]',
  summary:
    'Make this machine a member of a cluster, by a token or by the key of a role; with a directory, a data node of it',
  declare: (yargs, call) =>
    yargs
      .positional('server', {
        type: 'string',
        demandOption: true,
        coerce: parseServerUrl,
        describe: 'the metadata server, [dfs://]HOST[:PORT], with port 8000 unless given',
      })
      .positional('datapath', {
        type: 'string',
        describe:
          'a directory for the data: a data node is set up for it as a service of this machine; once more for another directory',
      })
      .option('token', {
        type: 'string',
        requiresArg: true,
        describe:
          'what dfs token create has printed on the metadata server; - reads it from standard input [default: $DFS_TOKEN]',
      })
      .option('role', {
        choices: [...ROLES, DATA_NODE, METADATA] as const,
        describe: 'what this machine is to be [default: what the token is for]',
      })
      .option('port', {
        type: 'string',
        requiresArg: true,
        coerce: (text: string | undefined) => (text === undefined ? undefined : parsePort(text)),
        describe: "the data node's port [default: 9000, or the next that no other one here has]",
      })
      .option('name', {
        type: 'string',
        requiresArg: true,
        default: machineName(),
        defaultDescription: 'the name of the host',
        describe: 'what the member is called; each name is there once for a role',
      })
      .option('key-file', KEY_FILE_OPTION)
      .example([
        [`${call} dfs://10.0.0.1 /srv/dfs --token dfs1-…`, 'a machine with a disk'],
        [`${call} dfs://10.0.0.1 --token dfs1-…`, 'a machine that mounts'],
        [
          `${call} 10.0.0.1:8000 --key-file client.key --role client`,
          'in a cluster that has used keys until now',
        ],
      ]),
  async run({ server, datapath, token, role: asked, port, name, keyFile }) {
    // Arguments can be read by everybody on the machine.
    process.title = 'dfs join';
    const role = roleNamed(asked);
    if (datapath !== undefined && role !== undefined && role !== 'node')
      throw new UsageError(`a directory is for data nodes, not for the role ${role}`);
    if (port !== undefined && datapath === undefined)
      throw new UsageError('--port is for a data node; name its directory too');
    const { DFS_TOKEN = '' } = process.env;
    const text = token === LONE_DASH ? await readStandardInput() : (token ?? DFS_TOKEN);
    const layout = machineLayout();
    const account =
      datapath !== undefined && layout.user !== undefined
        ? await serviceAccount(layout.user, layout.state)
        : undefined;
    if (account) await prepareState(layout, account);
    const isMember = text === '' && datapath !== undefined && hasIdentity('node');
    if (!isMember) await becomeMember({ server, text, role, name, keyFile, datapath });
    await recordServer(layout, server);
    if (datapath === undefined) return;
    const services = machineServices(layout);
    const plan = { layout, services, account, metadata: server, directory: datapath, port };
    const node = await startNodeService(plan);
    await writeOut(
      `a data node runs on port ${node.port} in ${node.directory}, and starts with this machine\n`,
    );
  },
});

interface Joining {
  readonly server: Endpoint;
  /** The token's text; empty: there is none. */
  readonly text: string;
  readonly role: Role | undefined;
  readonly name: string;
  readonly keyFile: string | undefined;
  readonly datapath: string | undefined;
}

async function becomeMember({ server, text, role, name, keyFile, datapath }: Joining): Promise<void> {
  const admission = admissionBy(text, role, keyFile);
  if (datapath !== undefined && admission.role !== 'node')
    throw new UsageError(
      `the token is for the role ${admission.role}; a directory is for one of a data node`,
    );
  const identity = await joinCluster(server, admission, name, createLogger('join', 'silent'));
  const path = identityPath(admission.role);
  await saveIdentity(path, identity);
  await writeOut(
    `${admission.role}/${name} is a member of the cluster at ${formatEndpoint(server)}; its certificate is in ${path}\n`,
  );
}

/** The role that a person names. UsageError for one that no machine joins as. */
function roleNamed(name: Role | typeof DATA_NODE | typeof METADATA | undefined): Role | undefined {
  if (name === DATA_NODE) return 'node';
  if (name !== METADATA) return name;
  throw new UsageError(
    'a cluster has one metadata server, the machine on which dfs create was run; to move it, see docs/three-machines.md',
  );
}

function admissionBy(token: string, role: Role | undefined, keyFile: string | undefined): Admission {
  if (token !== '') {
    const parsed = parseToken(token);
    if (role !== undefined && role !== parsed.role)
      throw new UsageError(`the token is for the role ${parsed.role}, not ${role}`);
    return { role: parsed.role, by: parsed };
  }
  if (keyFile === undefined && (process.env['DFS_KEY_FILE'] ?? '') === '')
    throw new UsageError('give --token, which dfs token create prints on the metadata server, or --key-file');
  const keys = clusterKeyring(keyFile);
  const held = ROLES.filter(each => keys.holds(each));
  const [only] = held;
  if (role === undefined && (held.length > 1 || !only))
    throw new UsageError('say what this machine is to be: --role');
  return { role: keys.roleAs(role ?? only ?? 'client'), by: keys };
}

async function readStandardInput(): Promise<string> {
  try {
    return await readFile('/dev/stdin', 'utf8');
  } catch (error) {
    throw toDfsError(error).within('cannot read the token from standard input');
  }
}
