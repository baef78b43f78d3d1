/**
 * The commands' declarations, prepared for reading messages: the keys of their objects, so that reading one takes a
 * comparison of its bytes rather than making a string; and for each object a function that makes one, which is twice
 * as fast as adding key after key. Keys from the wire are never added.
 */
import { Kind, OptionalKind, type TSchema } from '@sinclair/typebox';

interface KnownKey {
  readonly text: string;
  readonly bytes: Buffer;
}

/** Makes an object whose values, in the order of its keys, `read` returns one after the other. */
export type Maker = (read: () => unknown) => unknown;

const SLOTS = 1024;
/** hash → the keys that have it */
const slots: KnownKey[][] = Array.from({ length: SLOTS }, () => []);
const texts = new Set<string>();
/** keys, joined → what makes an object that has them, in this order; until that is asked for the first time, the keys */
const makers = new Map<string, Maker | readonly string[]>();
/** What can stand as a key in an object literal. */
const PLAIN_KEY = /^[a-zA-Z]\w*$/;

/** Takes over every object in the shape. */
export function learnShape(schema: TSchema): void {
  if (schema[Kind] === 'Object') {
    // An object's shape has its properties here.
    const properties = Object.entries(schema['properties'] as Record<string, TSchema>);
    for (const [text, value] of properties) {
      learnKey(text);
      learnShape(value);
    }
    learnMaker(properties.map(([text]) => text));
    learnMaker(properties.filter(([, value]) => value[OptionalKind] === undefined).map(([text]) => text));
  } else if (schema[Kind] === 'Array') {
    learnShape(schema['items'] as TSchema);
  } else if (schema[Kind] === 'Union') {
    for (const each of schema['anyOf'] as TSchema[]) learnShape(each);
  }
}

/** The key that these bytes are, if some shape has it. */
export function findKey(source: Buffer, from: number, length: number): string | undefined {
  for (const { text, bytes } of slots[hashOf(source, from, length)] ?? []) {
    if (bytes.length === length && isSame(bytes, source, from)) return text;
  }
  return undefined;
}

/** What makes objects with these keys, if some shape has them in this order. */
export function findMaker(keys: readonly string[]): Maker | undefined {
  const joined = keys.join();
  const found = makers.get(joined);
  if (found === undefined || typeof found === 'function') return found;
  // A process reads few of all the shapes, and to make something for every one takes longer than most commands.
  const maker = makeMaker(found);
  makers.set(joined, maker);
  return maker;
}

function learnKey(text: string): void {
  if (texts.has(text)) return;
  texts.add(text);
  const bytes = Buffer.from(text);
  slots[hashOf(bytes, 0, bytes.length)]?.push({ text, bytes });
}

function learnMaker(keys: readonly string[]): void {
  if (keys.length > 0 && keys.every(key => PLAIN_KEY.test(key)) && !makers.has(keys.join()))
    makers.set(keys.join(), keys);
}

function makeMaker(keys: readonly string[]): Maker {
  // The keys are those of our own declarations, and the values of an object literal are evaluated in its order.
  // oxlint-disable-next-line typescript/no-implied-eval -- PLAIN_KEY lets no code in
  return new Function('read', `return { ${keys.map(key => `${key}: read()`).join(', ')} };`) as Maker;
}

function hashOf(source: Buffer, from: number, length: number): number {
  const first = source[from] ?? 0;
  const middle = source[from + (length >> 1)] ?? 0;
  const last = source[from + length - 1] ?? 0;
  return (length * 31 + first * 7 + middle * 17 + last * 131) % SLOTS;
}

function isSame(bytes: Buffer, source: Buffer, from: number): boolean {
  for (let index = 0; index < bytes.length; index += 1)
    if (bytes[index] !== source[from + index]) return false;
  return true;
}
