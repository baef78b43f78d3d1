import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { systemRandom } from '../../platform/random.js';
import { toDfsError } from '../../protocol/errors.js';
import { defineCommand } from '../command.js';
import { LONE_DASH } from '../program.js';
import { writeOut } from '../standard-output.js';

export const load = defineCommand({
  name: 'load',
  positionals: '<file>',
  summary: 'Make a metadata database from what dfs dump wrote',
  declare: (yargs, call) =>
    yargs
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'the dump; - for standard input',
      })
      .option('db', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'the database to make; one that exists is left as it is',
      })
      .example([[`${call} f.jsonl --db new.db`, '']])
      .epilog(
        'Dumps of older versions are brought up to date; of newer ones, what is not known is left out.',
      ),
  async run({ file, db }) {
    const { loadDatabase } = await import('../../metadata/dump/load.js');
    const input: NodeJS.ReadableStream = file === LONE_DASH ? process.stdin : createReadStream(file);
    const failure = new Promise<never>((_resolve, reject) => {
      input.once('error', (error: unknown) => reject(toDfsError(error).within(`cannot read ${file}`)));
    });
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    const loaded = await Promise.race([loadDatabase(lines, db, systemRandom), failure]);
    await writeOut(`made ${db} from ${loaded.rows} rows\n`);
    const { unknownFields, unknownRows, hasNewKey } = loaded;
    if (hasNewKey) {
      process.stderr.write(
        'dfs load: the dump has no secrets, so a new grant key was made; data nodes learn it by themselves, mounts begin new sessions\n',
      );
    }
    if (unknownFields + unknownRows > 0) {
      process.stderr.write(
        `dfs load: left out ${unknownFields} fields and ${unknownRows} rows that this version does not know\n`,
      );
    }
  },
});
