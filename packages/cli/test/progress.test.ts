// The line that tells how far a command is, by a clock that the test sets.

import assert from "node:assert/strict"
import { test } from "node:test"
import { duration, Progress, type Screen } from "../src/progress.ts"

const MIB = 1_048_576

interface Shown {
  readonly screen: Screen
  readonly lines: string[]
  readonly notes: string[]
  readonly wait: (seconds: number) => void
}

function screen(columns: number | null): Shown {
  const lines: string[] = []
  const notes: string[] = []
  let now = Date.UTC(2026, 10, 24)
  return {
    lines,
    notes,
    wait: (seconds) => {
      now += seconds * 1_000
    },
    screen: {
      columns: () => columns,
      progress: (text) => lines.push(text),
      note: (text) => notes.push(text),
      now: () => new Date(now),
    },
  }
}

test("on a terminal: a bar, per cent, rate and remaining time, in the whole width", () => {
  const { screen: io, lines, wait } = screen(80)
  const progress = new Progress(io, "docs", "files")
  const total = { bytes: 100 * MIB, items: 10 }
  progress.update({ bytes: 0, items: 0 }, total)
  for (let second = 1; second <= 5; second++) {
    wait(1)
    progress.update({ bytes: second * 5 * MIB, items: second }, total)
  }
  assert.equal(lines.at(-1), "docs  [=====>               ]  25%  25.0 MiB of 100.0 MiB  5.0 MiB/s  15 s left")
  assert.equal(lines.at(-1)?.length, 79)
})

test("the bar is full at the end and never longer, and a narrow terminal has none", () => {
  const total = { bytes: MIB, items: 1 }
  const wide = screen(80)
  new Progress(wide.screen, "docs", "files").update({ bytes: 2 * MIB, items: 2 }, total)
  assert.match(wide.lines[0] ?? "", /^docs {2}\[=+\] 100% /)
  const narrow = screen(40)
  new Progress(narrow.screen, "docs", "files").update({ bytes: MIB / 2, items: 0 }, total)
  assert.equal(narrow.lines[0], "docs   50%  512.0 KiB of 1.0 MiB")
})

test("the rate is that of the last ten seconds", () => {
  const { screen: io, lines, wait } = screen(100)
  const progress = new Progress(io, "docs", "files")
  const total = { bytes: 1_000 * MIB, items: 1 }
  progress.update({ bytes: 0, items: 0 }, total)
  wait(1)
  progress.update({ bytes: 500 * MIB, items: 0 }, total)
  for (let second = 1; second <= 20; second++) {
    wait(1)
    progress.update({ bytes: (500 + second) * MIB, items: 0 }, total)
  }
  assert.match(lines.at(-1) ?? "", / 1\.0 MiB\/s {2}8 min left$/)
  // Nothing came for long: nothing is promised.
  wait(60)
  progress.update({ bytes: 520 * MIB, items: 0 }, total)
  assert.match(lines.at(-1) ?? "", / 0 B\/s$/)
})

test("a terminal is not written to more than five times a second, and the first is at once", () => {
  const { screen: io, lines, wait } = screen(80)
  const progress = new Progress(io, "docs", "files")
  for (let i = 0; i < 1_000; i++) {
    progress.update({ bytes: i, items: i }, null)
    wait(0.001)
  }
  assert.equal(lines.length, 5)
})

test("without a total: what was seen, and at which rate", () => {
  const { screen: io, lines, wait } = screen(80)
  const progress = new Progress(io, "docs", "entries")
  progress.update({ bytes: 0, items: 0 }, null)
  wait(2)
  progress.update({ bytes: 20 * MIB, items: 1_234 }, null, "3.0 MiB stored")
  assert.equal(lines.at(-1), "docs  1,234 entries  20.0 MiB  3.0 MiB stored  10.0 MiB/s")
})

test("an estimate says so, and is dropped once it is passed", () => {
  const { screen: io, lines, wait } = screen(100)
  const progress = new Progress(io, "docs", "entries")
  const about = { bytes: 40 * MIB, items: 100, about: true }
  progress.update({ bytes: 0, items: 0 }, about)
  wait(1)
  progress.update({ bytes: 10 * MIB, items: 10 }, about)
  assert.match(
    lines.at(-1) ?? "",
    /^docs {2}\[=+> *\] {2}25% {2}10\.0 MiB of about 40\.0 MiB {2}10\.0 MiB\/s {2}3 s left$/,
  )
  wait(1)
  progress.update({ bytes: 41 * MIB, items: 110 }, about)
  assert.equal(lines.at(-1), "docs  110 entries  41.0 MiB  20.5 MiB/s")
})

test("things without bytes are counted", () => {
  const { screen: io, lines } = screen(80)
  new Progress(io, "docs", "files").update({ bytes: 0, items: 5 }, { bytes: 0, items: 20 })
  assert.match(lines[0] ?? "", /^docs {2}\[=+> +\] {2}25% {2}5 of 20 files$/)
})

test("where there is no terminal: a plain line each half minute, and none of a short work", () => {
  const { screen: io, lines, notes, wait } = screen(null)
  const progress = new Progress(io, "docs", "files")
  const total = { bytes: 1_000 * MIB, items: 10 }
  for (let second = 0; second <= 95; second++) {
    progress.update({ bytes: second * 10 * MIB, items: 1 }, total)
    wait(1)
  }
  assert.deepEqual(lines, [])
  assert.deepEqual(notes, [
    "docs: 30%, 300.0 MiB of 1000.0 MiB, 10.0 MiB/s, 70 s left",
    "docs: 60%, 600.0 MiB of 1000.0 MiB, 10.0 MiB/s, 40 s left",
    "docs: 90%, 900.0 MiB of 1000.0 MiB, 10.0 MiB/s, 10 s left",
  ])
})

test("a length of time as people say it", () => {
  assert.deepEqual([0.2, 1, 89, 90, 600, 5_399, 5_400, 90_000, 400_000].map(duration), [
    "1 s",
    "1 s",
    "89 s",
    "2 min",
    "10 min",
    "90 min",
    "1 h 30 min",
    "25 h 00 min",
    "5 days",
  ])
})
