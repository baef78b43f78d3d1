import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { systemRandom } from '../../platform/random.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
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
    const loaded = await loadDatabase(linesOf(file), db, systemRandom);
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

/** The lines of a file, or of standard input. Throws when it cannot be read to its end. */
async function* linesOf(file: string): AsyncGenerator<string> {
  const isStandardInput = file === LONE_DASH;
  try {
    const input = isStandardInput ? process.stdin : (await open(file)).createReadStream();
    let failure: unknown;
    input.once('error', (error: unknown) => (failure = error));
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    // It emits the errors of its input once more.
    lines.on('error', () => undefined);
    yield* lines;
    if (failure !== undefined) throw failure;
  } catch (error) {
    if (error instanceof DfsError) throw error;
    throw toDfsError(error).within(`cannot read ${isStandardInput ? 'standard input' : file}`);
  }
}
