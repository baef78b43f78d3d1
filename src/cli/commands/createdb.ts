import { systemClock } from '../../platform/clock.js';
import { systemRandom } from '../../platform/random.js';
import { defineCommand } from '../command.js';
import { defaultDatabasePath } from '../dfs-home.js';
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
      .example([
        [call, 'where meta-data looks for it by default'],
        [`${call} --db /srv/dfs/meta.db`, 'somewhere else'],
      ])
      .epilog('A database that exists already is left as it is, and the exit code is 1.'),
  async run({ db }) {
    const { createDatabase } = await import('../../metadata/create-database.js');
    await createDatabase(db, { clock: systemClock, random: systemRandom });
    await writeOut(`created ${db}\n`);
  },
});
