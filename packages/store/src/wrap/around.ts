// What wrappers that look at every call share: one function that sees each call begin and end. A read or list begins with
// its first piece and ends with its last; a consumer that stops early ends it neither well nor badly, and nothing is said.

import type { ListOptions, ObjectInfo, ReadOptions, Store } from "../ports.ts"

export type Method = "stat" | "read" | "list" | "versions" | "create" | "remove" | "probe"

export interface Around {
  /** Before the inner call. What it throws the caller gets, and the inner call is not made. */
  before(method: Method, name: string): void | Promise<void>
  /** After the inner call took effect. What it throws the caller gets in place of the result. */
  after(method: Method, name: string): void | Promise<void>
  /** After the inner call threw `error`, which the caller gets. */
  failed(method: Method, name: string, error: unknown): void
}

export function wrapped(inner: Store, around: Around): Store {
  const call = async <T>(method: Method, name: string, run: () => Promise<T>): Promise<T> => {
    await around.before(method, name)
    let result: T
    try {
      result = await run()
    } catch (error) {
      around.failed(method, name, error)
      throw error
    }
    await around.after(method, name)
    return result
  }
  async function* pass<T>(method: Method, name: string, items: () => AsyncIterable<T>): AsyncGenerator<T> {
    await around.before(method, name)
    const iterator = items()[Symbol.asyncIterator]()
    try {
      for (;;) {
        const step = await iterator.next().catch((error: unknown) => {
          around.failed(method, name, error)
          throw error
        })
        if (step.done === true) break
        yield step.value
      }
      await around.after(method, name)
    } finally {
      await iterator.return?.()
    }
  }
  return {
    url: inner.url,
    stat: (name, signal) => call("stat", name, () => inner.stat(name, signal)),
    versions: (name, signal) => call("versions", name, () => inner.versions(name, signal)),
    create: (name, body, sha256, signal) => call("create", name, () => inner.create(name, body, sha256, signal)),
    remove: (name, signal) => call("remove", name, () => inner.remove(name, signal)),
    probe: (signal) => call("probe", "", () => inner.probe(signal)),
    // No call to where the objects are.
    spool: (signal) => inner.spool(signal),
    read: (name: string, signal: AbortSignal, options?: ReadOptions): AsyncIterable<Uint8Array> =>
      pass("read", name, () => inner.read(name, signal, options)),
    list: (prefix: string, signal: AbortSignal, options?: ListOptions): AsyncIterable<ObjectInfo> =>
      pass("list", prefix, () => inner.list(prefix, signal, options)),
  }
}
