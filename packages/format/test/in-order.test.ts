import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { inOrder } from "../src/index.ts"

const never = new AbortController().signal
const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
/** Lets everything that is ready go on, `turns` times. */
const turn = async (turns: number): Promise<void> => {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}
/** Work that ends only when it is aborted, and some turns after that. */
function hanging(live: { count: number; most: number }) {
  return async (_: number, signal: AbortSignal): Promise<number> => {
    live.count++
    live.most = Math.max(live.most, live.count)
    try {
      await new Promise((resolve) => {
        if (signal.aborted) resolve(undefined)
        signal.addEventListener("abort", resolve)
      })
      await turn(3)
      throw new Error("aborted")
    } finally {
      live.count--
    }
  }
}

test("results come in order, never more at once than the width", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(5), { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), async (turns, width) => {
      let live = 0
      let most = 0
      const results = await collect(
        inOrder(turns.entries(), width, never, async ([i, n]) => {
          most = Math.max(most, ++live)
          await turn(n)
          live--
          return i
        }),
      )
      assert.deepEqual(results, [...turns.keys()])
      assert.ok(most <= width)
      assert.equal(live, 0)
    }),
    { numRuns: 40 },
  )
})

test("input is taken only as fast as results are", async () => {
  let taken = 0
  function* input() {
    for (;;) yield taken++
  }
  const results = inOrder(input(), 3, never, async (n) => n)
  await results.next()
  assert.equal(taken, 3)
  await results.return()
})

test("a failure stops the rest, and nothing lives on", async () => {
  const live = { count: 0, most: 0 }
  const hang = hanging(live)
  const results = inOrder([1, 2, 3, 4, 5], 4, never, async (n, signal) => {
    if (n === 1) throw new RangeError("first")
    return await hang(n, signal)
  })
  await assert.rejects(collect(results), RangeError)
  assert.equal(live.most, 3)
  assert.equal(live.count, 0)
})

test("a caller that stops early leaves nothing running", async () => {
  const live = { count: 0, most: 0 }
  const hang = hanging(live)
  for await (const n of inOrder([1, 2, 3, 4], 3, never, async (i, signal) => (i === 1 ? i : await hang(i, signal)))) {
    assert.equal(n, 1)
    break
  }
  assert.equal(live.most, 2)
  assert.equal(live.count, 0)
})

test("a failing input stops the work", async () => {
  const live = { count: 0, most: 0 }
  async function* input() {
    yield 1
    yield 2
    await turn(1)
    throw new RangeError("input")
  }
  await assert.rejects(collect(inOrder(input(), 5, never, hanging(live))), RangeError)
  assert.equal(live.most, 2)
  assert.equal(live.count, 0)
})

test("an outer abort reaches the work and ends the iteration", async () => {
  const live = { count: 0, most: 0 }
  const outer = new AbortController()
  const whole = collect(inOrder([1, 2, 3, 4], 2, outer.signal, hanging(live)))
  await turn(2)
  assert.equal(live.count, 2)
  outer.abort()
  await assert.rejects(whole, /aborted/)
  assert.equal(live.count, 0)
})

test("an abort before the start starts nothing", async () => {
  let started = 0
  const work = async (): Promise<number> => ++started
  await assert.rejects(collect(inOrder([1], 1, AbortSignal.abort(), work)), { name: "AbortError" })
  assert.equal(started, 0)
  assert.deepEqual(await collect(inOrder([1], 1, never, work)), [1])
})

test("a rejection that nobody has reached yet is not unhandled", async () => {
  const unhandled: unknown[] = []
  const listen = (error: unknown): void => void unhandled.push(error)
  process.on("unhandledRejection", listen)
  try {
    const results = inOrder([1, 2], 2, never, async (n) => {
      if (n === 2) throw new RangeError("second")
      await turn(5)
      return n
    })
    assert.equal((await results.next()).value, 1)
    await turn(2)
    assert.deepEqual(unhandled, [])
    await assert.rejects(results.next(), RangeError)
  } finally {
    process.off("unhandledRejection", listen)
  }
})
