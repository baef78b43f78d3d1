import { defineCommand } from '../command.js';
import { createClusterDatabase } from '../create-cluster-database.js';
import { defaultDatabasePath } from '../dfs-home.js';
import { KEY_FILE_OPTION } from '../key-option.js';
import { writeOut } from '../standard-output.js';

export const createdb = defineCommand({
  name: 'createdb',
  positionals: '',
  summary: 'Create the metadata database of a new file system',
  declare: (yargs, call) =>
    yargs
      .option('db', {
        type: 'string',
        requiresArg: true,
        default: defaultDatabasePath(),
        defaultDescription: '$DFS_HOME/metadata/dfs.db, with DFS_HOME=$HOME/.dfs',
        describe: 'where to create it; its directory is made if need be',
      })
      .option('key-file', {
        ...KEY_FILE_OPTION,
        describe:
          "file with the cluster's key, made if there is none [default: $DFS_KEY_FILE, or $DFS_HOME/key]",
      })
      .example([
        [call, 'where meta-data looks for it by default'],
        [`${call} --db /srv/dfs/meta.db`, 'somewhere else'],
      ])
      .epilog('A database that exists already is left as it is, and the exit code is 1.'),
  async run({ db, keyFile }) {
    const { key, isNewKey } = await createClusterDatabase(db, keyFile);
    await writeOut(`created ${db}; its key is ${key}${isNewKey ? ', made just now' : ''}\n`);
  },
});
