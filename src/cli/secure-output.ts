/** Secrets on standard output: they go into no file that others own or can read. */
import { fchmodSync, fstatSync } from 'node:fs';
import { DfsError, toDfsError } from '../protocol/errors.js';

const STANDARD_OUTPUT = 1;
const OWNER_ALONE = 0o600;

interface SecretOutput {
  /** Whose output it is. */
  readonly program: string;
  /** What is written, for messages: `a key`. */
  readonly secret: string;
  /** What else could be done, where there is something: `, or leave out --with-secrets`. */
  readonly otherwise?: string;
}

/**
 * Makes the file that standard output was redirected into the user's own and nobody else's, before anything secret is
 * written; a terminal or a pipe stays as it is. EACCES when the file belongs to somebody else, whose it stays.
 * @param descriptor open for writing
 */
export function secureOutput(
  { program, secret, otherwise = '' }: SecretOutput,
  descriptor = STANDARD_OUTPUT,
): void {
  const stats = fstatSync(descriptor);
  if (!stats.isFile()) return;
  const { uid } = stats;
  const user = process.geteuid?.() ?? uid;
  if (uid !== user) {
    throw new DfsError(
      'EACCES',
      `the output holds ${secret}, but the file it goes into belongs to user ${uid}, who could read it; write to a new file of your own${otherwise}`,
    );
  }
  try {
    // A file that the shell made is readable by as many as the umask lets.
    fchmodSync(descriptor, OWNER_ALONE);
  } catch (error) {
    throw toDfsError(error).within(
      'the file that the output goes into cannot be kept from others; write to another one',
    );
  }
  process.stderr.write(`${program}: the file holds ${secret}; it is readable by you alone, keep it so\n`);
}
