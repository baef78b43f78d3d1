/** Whether a commit may be released, and what is said of it. */

export interface ReleaseState {
  /** By package.json, package-lock.json and src/protocol/version.ts. */
  readonly version: string;
  readonly lockVersion: string;
  readonly protocolVersion: string;
  /** CHANGELOG.md. */
  readonly changelog: string;
  /** What `git status --porcelain` prints. */
  readonly status: string;
  readonly branch: string;
  readonly tags: readonly string[];
}

const SEMANTIC = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
const RELEASE_BRANCH = 'main';

/** One sentence for each thing that is in the way. */
export function releaseProblems(state: ReleaseState): string[] {
  const { version, lockVersion, protocolVersion, changelog, status, branch, tags } = state;
  const problems: string[] = [];
  if (!SEMANTIC.test(version)) problems.push(`the version ${version} in package.json is not semantic`);
  if (lockVersion !== version)
    problems.push(
      `package-lock.json is of version ${lockVersion}, not ${version}; run: npm install --package-lock-only`,
    );
  if (protocolVersion !== version)
    problems.push(`VERSION in src/protocol/version.ts is ${protocolVersion}, not ${version}`);
  const notes = releaseNotes(changelog, version);
  if (notes === undefined)
    problems.push(
      `CHANGELOG.md has no section '## [${version}] - YYYY-MM-DD'; make it of what is unreleased`,
    );
  else if (notes === '') problems.push(`the section of ${version} in CHANGELOG.md is empty`);
  if (status !== '')
    problems.push(`the tree is not clean; commit or remove: ${status.trim().split('\n').join(', ')}`);
  if (branch !== RELEASE_BRANCH)
    problems.push(`the branch is ${branch}; releases are made of ${RELEASE_BRANCH}`);
  if (tags.includes(`v${version}`)) problems.push(`there is a tag v${version} already; give a new version`);
  return problems;
}

/** What CHANGELOG.md says of a version, which has a date; undefined when there is no such section. */
export function releaseNotes(changelog: string, version: string): string | undefined {
  const sections = changelog.split(/^(?=## )/m);
  const title = `## [${version}] - `;
  const section = sections.find(
    each => each.startsWith(title) && /^\d{4}-\d\d-\d\d$/m.test(firstLine(each).slice(title.length)),
  );
  return section?.slice(firstLine(section).length).trim();
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** What `npm audit --json` has said. */
export type Audit =
  | { readonly state: 'clean' }
  | { readonly state: 'vulnerable'; readonly packages: readonly string[] }
  | { readonly state: 'unanswered'; readonly reason: string };

/** Of what it printed, whatever its exit code was. */
export function auditOf(output: string): Audit {
  let told: unknown;
  try {
    told = JSON.parse(output);
  } catch {
    return { state: 'unanswered', reason: 'npm audit printed no JSON' };
  }
  if (typeof told !== 'object' || told === null || !('vulnerabilities' in told)) {
    const message =
      typeof told === 'object' && told !== null && 'message' in told ? String(told.message) : 'no answer';
    return { state: 'unanswered', reason: message };
  }
  const packages = Object.keys(told.vulnerabilities ?? {});
  return packages.length === 0 ? { state: 'clean' } : { state: 'vulnerable', packages };
}
