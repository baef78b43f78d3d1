/** The groups of measurements, in their order. */

export const SCALE_GROUPS = ['names', 'directory', 'fragments', 'sessions', 'recalls', 'start'] as const;
export type ScaleGroup = (typeof SCALE_GROUPS)[number];

function isScaleGroup(name: string): name is ScaleGroup {
  return SCALE_GROUPS.some(known => known === name);
}

/** `names,start` as a list; a sentence for the user when one is not known. */
export function parseScaleGroups(text: string): readonly ScaleGroup[] | string {
  const names = text.split(',');
  const unknown = names.find(name => !isScaleGroup(name));
  if (unknown !== undefined) return `there is no group '${unknown}'; give some of ${SCALE_GROUPS.join(',')}`;
  return SCALE_GROUPS.filter(name => names.includes(name));
}
