// The one place where work runs at the same time: bounded, in order, cancelled, and finished when the iteration ends.

/**
 * Applies `work` to at most `width` items at once; results come in the order of the items. When anything throws, or
 * the caller stops, the rest is aborted and waited for.
 */
export async function* inOrder<A, B>(
  input: AsyncIterable<A> | Iterable<A>,
  width: number,
  outer: AbortSignal,
  work: (item: A, signal: AbortSignal) => Promise<B>,
): AsyncGenerator<B, void, undefined> {
  const stop = new AbortController()
  const signal = AbortSignal.any([outer, stop.signal])
  const running: Promise<B>[] = []
  const next = (): Promise<B> => running.shift() as Promise<B>
  try {
    for await (const item of input) {
      signal.throwIfAborted()
      const job = work(item, signal)
      // A rejection is seen at the yield below; until then it must not count as unhandled.
      job.catch(() => undefined)
      running.push(job)
      if (running.length >= width) yield await next()
    }
    while (running.length > 0) yield await next()
  } finally {
    stop.abort()
    await Promise.allSettled(running)
  }
}
