/** A method of a class is another one until `dispose`. */
export function replaced<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  replacement: Owner[Name],
): Disposable {
  const original = owner[name];
  owner[name] = replacement;
  return { [Symbol.dispose]: () => (owner[name] = original) };
}
