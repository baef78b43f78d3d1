import { fileURLToPath } from 'node:url';

/** The executable `name` of this installation, from the folder bin/ that stands three folders above the compiled form of this file. */
export function programPath(name: string): string {
  return fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));
}
