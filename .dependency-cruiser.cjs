/**
 * The arrows of ARCHITECTURE.md: protocol <- {rules, identity} <- rpc <- {metadata, datanode, client} <- vfs <- fuse <- cli <- packaging. Each layer may
 * import itself and what is listed; anything else is an error.
 */
const layers = {
  platform: [],
  protocol: ['platform'],
  rules: ['platform', 'protocol'],
  identity: ['platform', 'protocol'],
  rpc: ['platform', 'protocol', 'identity'],
  metadata: ['platform', 'protocol', 'rules', 'identity', 'rpc'],
  datanode: ['platform', 'protocol', 'identity', 'rpc'],
  client: ['platform', 'protocol', 'rules', 'identity', 'rpc'],
  vfs: ['platform', 'protocol', 'rules', 'rpc', 'client'],
  fuse: ['platform', 'protocol', 'vfs'],
  cli: ['platform', 'protocol', 'identity', 'rpc', 'metadata', 'datanode', 'client', 'vfs', 'fuse'],
  packaging: ['platform', 'protocol', 'cli'],
};

module.exports = {
  forbidden: [
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `${layer}-imports-only-what-stands-left-of-it`,
      severity: 'error',
      from: { path: `^src/${layer}/` },
      to: { path: '^src/', pathNot: `^src/(${[layer, ...allowed].join('|')})/` },
    })),
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'only-known-layers',
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/(${Object.keys(layers).join('|')})/` },
      to: {},
    },
    { name: 'no-test-code-in-src', severity: 'error', from: { path: '^src/' }, to: { path: '^test/' } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // TypeScript 7 has no API yet that dependency-cruiser can use; it warns of that and reads the source by swc.
    parser: 'swc',
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node'] },
  },
};
