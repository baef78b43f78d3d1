/** Values of a shape of the wire, and values that are almost of that shape. */
import { Kind, OptionalKind, type TSchema } from '@sinclair/typebox';
import type { SeededRandom } from '../simulation/world/seeded-random.js';

const MAX_ITEMS = 9;
const TEXTS = [
  '',
  'a',
  '/',
  '/srv/dfs',
  '0',
  'f'.repeat(16),
  '0'.repeat(64),
  'segments/00000001.seg',
  'ENOENT',
  'node-1',
  '10.0.0.1',
  '\0',
  '\u{1f4be}',
  'x'.repeat(300),
];
/** What no shape expects in most places. */
const WRONG: readonly unknown[] = [
  null,
  undefined,
  true,
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -(2 ** 53) + 1,
  2 ** 53 - 1,
  2 ** 32,
  '',
  'now',
  [],
  {},
  { length: 1 },
  [[[[]]]],
  Buffer.alloc(0),
  Buffer.alloc(70_000),
];

function wrong(random: SeededRandom): unknown {
  return WRONG[random.integer(0, WRONG.length)];
}

/** A value of the shape; with `isWrong`, one with something wrong somewhere. */
export function valueOf(schema: TSchema, random: SeededRandom, isWrong = false): unknown {
  const value = rightValue(schema, random);
  return isWrong ? spoil(value, random) : value;
}

function rightValue(schema: TSchema, random: SeededRandom): unknown {
  switch (schema[Kind]) {
    case 'Object':
      return objectOf(schema['properties'] as Record<string, TSchema>, random);
    case 'Array': {
      const {
        items,
        minItems = 0,
        maxItems = MAX_ITEMS,
      } = schema as TSchema & {
        items: TSchema;
        minItems?: number;
        maxItems?: number;
      };
      const count = Math.min(maxItems, Math.max(minItems, random.integer(0, MAX_ITEMS)));
      return Array.from({ length: count }, () => rightValue(items, random));
    }
    case 'Union':
      return rightValue(random.pick(schema['anyOf'] as TSchema[]), random);
    case 'Null':
      return null;
    case 'Literal':
      return schema['const'];
    case 'Integer':
    case 'Number':
      return integerOf(schema, random);
    case 'Boolean':
      return random.isChance(0.5);
    case 'Uint8Array': {
      const { minByteLength = 0, maxByteLength = 64 } = schema as {
        minByteLength?: number;
        maxByteLength?: number;
      };
      return random.bytes(random.integer(minByteLength, Math.min(maxByteLength, minByteLength + 40) + 1));
    }
    case 'String': {
      const {
        pattern,
        minLength = 0,
        maxLength = 1000,
      } = schema as {
        pattern?: string;
        minLength?: number;
        maxLength?: number;
      };
      const fitting = TEXTS.filter(
        text =>
          text.length >= minLength &&
          text.length <= maxLength &&
          (pattern === undefined || new RegExp(pattern, 'u').test(text)),
      );
      return random.pick(fitting);
    }
    default:
      throw new Error(`the fuzzer knows no shape '${schema[Kind]}'; teach it (schema-values.ts)`);
  }
}

function objectOf(properties: Record<string, TSchema>, random: SeededRandom): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(properties)) {
    if (schema[OptionalKind] !== undefined && random.isChance(0.5)) continue;
    object[name] = rightValue(schema, random);
  }
  return object;
}

function integerOf(schema: TSchema, random: SeededRandom): number {
  const minimum = Number(schema['minimum'] ?? 0);
  const maximum = Number(schema['maximum'] ?? Number.MAX_SAFE_INTEGER);
  if (random.isChance(0.15)) return random.isChance(0.5) ? minimum : maximum;
  const span = random.pick([4, 300, 70_000, maximum - minimum]);
  return Math.min(maximum, Math.floor(minimum + random.fraction() * span));
}

/** Something in the value is replaced, taken away or added. */
function spoil(value: unknown, random: SeededRandom): unknown {
  if (random.isChance(0.15)) return wrong(random);
  if (Array.isArray(value)) {
    const list: unknown[] = [...(value as unknown[])];
    if (list.length === 0 || random.isChance(0.2)) return [...list, wrong(random)];
    const at = random.integer(0, list.length);
    list[at] = spoil(list[at], random);
    return list;
  }
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const object: Record<string, unknown> = { ...value };
    const names = Object.keys(object);
    if (names.length === 0 || random.isChance(0.1)) return { ...object, constructor: wrong(random) };
    const name = random.pick(names);
    if (random.isChance(0.2)) delete object[name];
    else object[name] = spoil(object[name], random);
    return object;
  }
  return wrong(random);
}
