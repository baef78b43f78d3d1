/** The command failed, and has said on standard error what there is to say: it ends with exit code 1, and nothing is added. */
export class FailureTold extends Error {
  override readonly name = 'FailureTold';
}
