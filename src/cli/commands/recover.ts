import prettyBytes from 'pretty-bytes';
import type { Recovered } from '../../metadata/recovery/recover.js';
import { systemClock } from '../../platform/clock.js';
import { createLogger } from '../../platform/log.js';
import { systemRandom } from '../../platform/random.js';
import { formatEndpoint, parsePort, parseServer } from '../address.js';
import { defineCommand } from '../command.js';
import { KEY_FILE_OPTION } from '../key-option.js';
import { accessAs } from '../member-access.js';
import { writeOut } from '../standard-output.js';
import { UsageError } from '../usage-error.js';

export const recover = defineCommand({
  name: 'recover',
  positionals: '',
  summary: 'Rebuild the metadata database from data nodes, when the metadata server is lost',
  declare: (yargs, call) =>
    yargs
      .parserConfiguration({ 'duplicate-arguments-array': true, 'parse-positional-numbers': false })
      .option('from', {
        type: 'string',
        array: true,
        demandOption: true,
        requiresArg: true,
        describe: 'a data node, HOST:PORT; give all that there are',
      })
      .option('db', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'the database to make; one that exists is left as it is',
      })
      .option('partial', {
        type: 'boolean',
        default: false,
        describe: 'go on without data nodes that the backup knows and --from does not name',
      })
      .option('key-file', KEY_FILE_OPTION)
      .option('json', { type: 'boolean', default: false, describe: 'say what came back as a JSON object' })
      .example([[`${call} --from 10.0.0.2:9000 --from 10.0.0.3:9000 --db new.db`, '']])
      .epilog(
        'Stop the old metadata server first, should it still run, and all mounts; then start meta-data --db NEW.db.',
      ),
  async run({ from, db, partial, keyFile, json }) {
    const endpoints = from.map(text => {
      // A data node has no port of its own by default.
      if (!/:\d+$/.test(text)) throw new UsageError(`'${text}' has no port; give HOST:PORT of the data node`);
      parsePort(text.slice(text.lastIndexOf(':') + 1));
      return parseServer(text);
    });
    const log = createLogger('recover', 'silent');
    const { keys, network } = accessAs('admin', { keyFile, log });
    const { recover: run } = await import('../../metadata/recovery/recover.js');
    const recovered = await run({
      from: endpoints,
      path: db,
      isPartial: partial,
      keys,
      network,
      clock: systemClock,
      random: systemRandom,
      log,
    });
    await writeOut(
      json ? `${JSON.stringify(recovered, null, 2)}\n` : `${summary(recovered, db).join('\n')}\n`,
    );
  },
});

function summary(
  { backup, ageMs, salvaged, lost, damagedChunks, askedNodes, otherNodes }: Recovered,
  db: string,
): string[] {
  const { placed, lostAndFound, covered } = salvaged;
  const bytes = (count: number): string => prettyBytes(count, { binary: true });
  const text = [
    `made ${db} from ${askedNodes} data nodes`,
    `Back: everything as it was at ${new Date(backup.madeMs).toISOString()}, ${Math.round(ageMs / 1000)} s ago (backup ${backup.generation}, ${backup.files} files).`,
    `Back from after that: ${placed.chunks} chunks (${bytes(placed.bytes)}) written to ${placed.files} files that the backup knows.`,
    `In /lost+found: ${lostAndFound.files} files with ${lostAndFound.chunks} chunks (${bytes(lostAndFound.bytes)}) whose files the backup does not know; their names are lost.`,
    `Not used: ${covered.chunks} chunks (${bytes(covered.bytes)}), since newer ones stand in their place.`,
    'Not back: names, sizes, permissions and deletions from after the backup, and what no data node had stored yet.',
  ];
  if (lost.chunks > 0) {
    text.push(
      `Lost: ${lost.chunks} chunks of ${lost.files} files are on none of these nodes (deleted or overwritten after the backup, or on nodes that are gone):`,
    );
    text.push(...lost.paths.map(path => `  ${path}`));
    if (lost.files > lost.paths.length) text.push(`  … and ${lost.files - lost.paths.length} more`);
  }
  if (damagedChunks > 0) text.push(`Damaged: the headers of ${damagedChunks} chunks could not be read.`);
  for (const node of otherNodes) text.push(`Not asked: data node ${node.node} (${formatEndpoint(node)}).`);
  text.push(...backup.troubles.map(trouble => `Trouble: ${trouble}.`));
  return text;
}
