/**
 * The command has said on its own what there is to say: it ends with this exit code, and nothing is added. 1 is for a command that failed;
 * others are a command's answer.
 */
export class FailureTold extends Error {
  override readonly name = 'FailureTold';
  readonly exitCode: number;

  constructor(exitCode = 1) {
    super();
    this.exitCode = exitCode;
  }
}
