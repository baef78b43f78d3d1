/** Whether a commit may be released (packaging/release-checks.ts). */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { auditOf, releaseNotes, releaseProblems } from '../../../src/packaging/release-checks.js';
import { inClone } from '../../support/programs.js';

const CHANGELOG = `# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

### Added

- something

## [1.1.0] - 2026-11-01

## [1.0.0]

- no date
`;
const READY = {
  version: '1.2.0',
  lockVersion: '1.2.0',
  protocolVersion: '1.2.0',
  changelog: CHANGELOG,
  status: '',
  branch: 'main',
  tags: ['v1.1.0'],
};

t.test('nothing is in the way of a commit that says the same of its version everywhere', async t => {
  t.strictSame(releaseProblems(READY), []);
  t.equal(releaseNotes(CHANGELOG, '1.2.0'), '### Added\n\n- something');
});

t.test('each thing that is in the way is told', async t => {
  const cases: readonly (readonly [change: Partial<typeof READY>, sentence: RegExp])[] = [
    [{ lockVersion: '1.1.0' }, /package-lock\.json is of version 1\.1\.0/],
    [{ protocolVersion: '1.1.0' }, /VERSION in src\/protocol\/version\.ts is 1\.1\.0/],
    [{ status: ' M README.md\n?? x\n' }, /not clean; commit or remove: M README\.md, \?\? x/],
    [{ branch: 'topic' }, /the branch is topic/],
    [{ tags: ['v1.2.0'] }, /there is a tag v1\.2\.0 already/],
    [{ changelog: '# Changelog\n\n## [Unreleased]\n\n- x\n' }, /no section '## \[1\.2\.0\] - YYYY-MM-DD'/],
  ];
  for (const [change, sentence] of cases) {
    const problems = releaseProblems({ ...READY, ...change });
    t.equal(problems.length, 1, problems.join('; '));
    t.match(problems[0], sentence);
  }
  const of = (version: string): string[] =>
    releaseProblems({ ...READY, version, lockVersion: version, protocolVersion: version });
  t.match(of('1.1.0')[0], /section of 1\.1\.0 in CHANGELOG\.md is empty/);
  t.match(of('1.0.0')[0], /no section/, 'one without a date is not released');
  t.match(of('1.2')[0], /not semantic/);
});

t.test('what npm audit says counts, and so does that nobody answers', async t => {
  t.strictSame(auditOf('{"vulnerabilities":{}}'), { state: 'clean' });
  t.strictSame(auditOf('{"vulnerabilities":{"left-pad":{}}}'), {
    state: 'vulnerable',
    packages: ['left-pad'],
  });
  t.strictSame(auditOf('{"message":"405 Method Not Allowed"}'), {
    state: 'unanswered',
    reason: '405 Method Not Allowed',
  });
  t.equal(auditOf('').state, 'unanswered');
});

t.test('the changelog of this clone has what is unreleased on top', async t => {
  const changelog = readFileSync(inClone('CHANGELOG.md'), 'utf8');
  const titles = [...changelog.matchAll(/^## \[([^\]]+)\](?: - (\S+))?$/gm)];
  t.equal(titles[0]?.[1], 'Unreleased');
  t.equal(titles.length, (changelog.match(/^## /gm) ?? []).length, 'every section has a version');
});
