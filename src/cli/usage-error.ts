/** The user called a command wrongly; ends it with exit code 2 and a hint to --help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
