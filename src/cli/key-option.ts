import { readKeyFile } from './key-file.js';

/** The option by which every command is given the cluster's key; the environment variable spares typing it. */
export const KEY_FILE_OPTION = {
  type: 'string',
  requiresArg: true,
  describe: "file with the cluster's shared key [default: $DFS_KEY_FILE]",
} as const;

/** The key that `--key-file` or DFS_KEY_FILE names; undefined when neither does. Errors as readKeyFile(). */
export function keyOf(keyFile: string | undefined): Uint8Array | undefined {
  const path = keyFile ?? process.env['DFS_KEY_FILE'];
  return path === undefined || path === '' ? undefined : readKeyFile(path);
}
