import { ROLES } from '../../protocol/roles.js';
import { defineCommand } from '../command.js';
import { clusterKeyring, KEY_FILE_OPTION } from '../key-option.js';
import { secureOutput } from '../secure-output.js';
import { writeOut } from '../standard-output.js';

export const key = defineCommand({
  name: 'key',
  positionals: '<role>',
  summary: "Write one role's key to standard output, for machines that should not have the cluster's",
  declare: (yargs, call) =>
    yargs
      .positional('role', {
        choices: ROLES,
        demandOption: true,
        describe:
          'client: copy, ls, mount; node: data-node; admin: these commands, and those that administer',
      })
      .option('key-file', KEY_FILE_OPTION)
      .example([
        [`${call} client > client.key`, 'then, on the client: dfs mount --key-file client.key …'],
        [`${call} node > node.key`, ''],
      ])
      .epilog(
        "Needs the cluster's key, which createdb made. Whoever has the output has the role: keep it secret.",
      ),
  async run({ role, keyFile }) {
    const text = clusterKeyring(keyFile).exportRole(role);
    secureOutput({ program: 'dfs key', secret: 'a key' });
    await writeOut(`${text}\n`);
  },
});
