/** Where every executable in bin/ begins. */
import { mount } from './commands/mount.js';
import { COMMANDS } from './commands.js';
import { helperCall, helperExitCode, MOUNT_HELPER } from './mount/mount-helper.js';
import { runUmountHelper, UMOUNT_HELPER } from './mount/umount-helper.js';
import { endWithSentence, runProgram, WRONG_USAGE } from './program.js';
import { UsageError } from './usage-error.js';

/** Runs the program `name`, `dfs` or one of its commands, with the process's arguments, and ends the process. */
export async function main(name: string): Promise<void> {
  if (name === MOUNT_HELPER) process.exit(helperExitCode(await runMountHelper()));
  if (name === UMOUNT_HELPER) process.exit(await runUmountHelper(process.argv.slice(2)));
  const commands = name === 'dfs' ? COMMANDS : COMMANDS.filter(command => command.name === name);
  const parameters = process.argv.slice(2);
  endWithSentence(name, commands, parameters);
  // fuse-native leaves handles behind that would keep the process alive.
  process.exit(await runProgram(name, commands, parameters));
}

/** What mount(8) calls. */
async function runMountHelper(): Promise<number> {
  let parameters: readonly string[] | undefined;
  try {
    ({ parameters } = helperCall(mount, process.argv.slice(2)));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${MOUNT_HELPER}: ${error.message}\n`);
    return WRONG_USAGE;
  }
  if (!parameters) return 0;
  endWithSentence('dfs', COMMANDS, parameters);
  return await runProgram('dfs', COMMANDS, parameters);
}
