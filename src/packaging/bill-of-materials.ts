/** The software bill of materials: what npm knows of everything in the package, in CycloneDX. */
import { execFileSync } from 'node:child_process';

interface Bill {
  serialNumber?: string;
  readonly metadata: { timestamp: string; readonly component: { name: string } };
}

/** JSON. The same commit gives the same text. */
export function billOfMaterials(clone: string, builtAt: Date): string {
  const text = execFileSync(
    'npm',
    ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--omit=dev', '--package-lock-only'],
    { cwd: clone, encoding: 'utf8', maxBuffer: 64 << 20 },
  );
  const bill = JSON.parse(text) as Bill;
  // A random number, which is optional; the folder's name; and the time at which npm ran.
  delete bill.serialNumber;
  bill.metadata.component.name = 'dfs';
  bill.metadata.timestamp = builtAt.toISOString();
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}
