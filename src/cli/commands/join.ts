import { readFile } from 'node:fs/promises';
import { createLogger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import { ROLES } from '../../protocol/roles.js';
import { formatEndpoint, parseServerUrl } from '../address.js';
import { defineCommand } from '../command.js';
import { identityPath, saveIdentity } from '../identity-files.js';
import { parseToken } from '../join-token.js';
import { clusterKeyring, KEY_FILE_OPTION } from '../key-option.js';
import { machineName } from '../machine-name.js';
import { joinCluster, type Admission } from '../membership.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

export const join = defineCommand({
  name: 'join',
  positionals: '<server>',
  summary:
    'Make this machine a member of a cluster: it gets a certificate, by a token or by the key of a role',
  declare: (yargs, call) =>
    yargs
      .positional('server', {
        type: 'string',
        demandOption: true,
        coerce: parseServerUrl,
        describe: 'the metadata server, [dfs://]HOST[:PORT], with port 8000 unless given',
      })
      .option('token', {
        type: 'string',
        requiresArg: true,
        describe:
          'what dfs token create has printed on the metadata server; - reads it from standard input [default: $DFS_TOKEN]',
      })
      .option('role', {
        choices: ROLES,
        describe: 'what this machine is to be [default: what the token is for]',
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
        [`${call} dfs://10.0.0.1 --token dfs1-…`, ''],
        [
          `${call} 10.0.0.1:8000 --key-file client.key --role client`,
          'in a cluster that has used keys until now',
        ],
      ]),
  async run({ server, token, role, name, keyFile }) {
    // Arguments can be read by everybody on the machine.
    process.title = 'dfs join';
    const { DFS_TOKEN = '' } = process.env;
    const text = token === '-' ? await readStandardInput() : (token ?? DFS_TOKEN);
    const admission = admissionBy(text, role, keyFile);
    const identity = await joinCluster(server, admission, name, createLogger('join', 'silent'));
    const path = identityPath(admission.role);
    await saveIdentity(path, identity);
    await writeOut(
      `${admission.role}/${name} is a member of the cluster at ${formatEndpoint(server)}; its certificate is in ${path}\n`,
    );
  },
});

function admissionBy(
  token: string,
  role: (typeof ROLES)[number] | undefined,
  keyFile: string | undefined,
): Admission {
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
