/**
 * `npm run release`: checks that this commit may be released, asks npm for known vulnerabilities, makes the packages and their checksums, and
 * tags. With --dry-run it checks and tags nothing. Nothing is sent anywhere.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import '../platform/supported-node.js';
import { VERSION } from '../protocol/version.js';
import { readDescription } from './native-modules.js';
import { auditOf, releaseNotes, releaseProblems } from './release-checks.js';

const CLONE = fileURLToPath(new URL('../../../', import.meta.url));
const OUTPUT = join(CLONE, 'build/packages');

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function git(...parameters: string[]): string {
  return execFileSync('git', parameters, { cwd: CLONE, encoding: 'utf8' }).trimEnd();
}

function audit(): boolean {
  const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { cwd: CLONE, encoding: 'utf8' });
  const told = auditOf(stdout);
  if (told.state === 'vulnerable') {
    say(`npm audit names ${told.packages.join(', ')}; update them, or see: npm audit`);
    return false;
  }
  say(
    told.state === 'clean'
      ? 'npm audit knows of nothing'
      : `npm audit is not answered here (${told.reason}): ask elsewhere`,
  );
  return true;
}

function makePackages(): void {
  rmSync(OUTPUT, { recursive: true, force: true });
  const driver = fileURLToPath(new URL('package-driver.js', import.meta.url));
  execFileSync(process.execPath, [driver], { cwd: CLONE, stdio: 'inherit' });
  const sums = readdirSync(OUTPUT)
    .sort()
    .map(name => {
      const sum = createHash('sha256')
        .update(readFileSync(join(OUTPUT, name)))
        .digest('hex');
      return `${sum}  ${name}\n`;
    });
  writeFileSync(join(OUTPUT, 'SHA256SUMS'), sums.join(''));
}

function main(): number {
  const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false } } });
  const { version } = readDescription(CLONE);
  const lock = JSON.parse(readFileSync(join(CLONE, 'package-lock.json'), 'utf8')) as {
    readonly version: string;
  };
  const changelog = readFileSync(join(CLONE, 'CHANGELOG.md'), 'utf8');
  const problems = releaseProblems({
    version,
    lockVersion: lock.version,
    protocolVersion: VERSION,
    changelog,
    status: git('status', '--porcelain'),
    branch: git('rev-parse', '--abbrev-ref', 'HEAD'),
    tags: git('tag', '--list').split('\n'),
  });
  for (const problem of problems) say(problem);
  if (!audit() || problems.length > 0) return 1;
  if (values['dry-run']) {
    say(`${version} can be released`);
    return 0;
  }
  makePackages();
  git(
    'tag',
    '--annotate',
    `v${version}`,
    '--message',
    `DFS ${version}\n\n${releaseNotes(changelog, version) ?? ''}`,
  );
  say(
    `tagged v${version}; packages and SHA256SUMS are in ${OUTPUT}. Publish with: git push origin v${version}`,
  );
  return 0;
}

process.exitCode = main();
