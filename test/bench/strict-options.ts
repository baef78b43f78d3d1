import type { Argv } from 'yargs';
import { UsageError } from '../../src/cli/usage-error.js';

/** A command line of options alone, of which none is unknown or given twice; UsageError says what is wrong. */
export function strictOptions<Options>(yargs: Argv<Options>): Argv<Options> {
  return yargs
    .strict()
    .version(false)
    .detectLocale(false)
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .demandCommand(0, 0, '', 'there are only options')
    .fail((message, error) => {
      throw error ?? new UsageError(message);
    });
}
