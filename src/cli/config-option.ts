/** --config, of the commands that run as services (config-file.ts reads the file). */
export const CONFIG_OPTION = {
  type: 'string',
  requiresArg: true,
  describe:
    'a TOML file with any of these arguments, by the names they have here, e.g. cache-size = "64M"; the command line goes first',
} as const;
