import assert from "node:assert/strict"
import { test } from "node:test"
import { nodeTrouble } from "../src/checks/machine.ts"
import { ageWords, patience } from "../src/overdue.ts"

const HOUR = 3_600_000

test("how long a run may be awaited follows from the words of the policy", () => {
  const hours = (schedule: string): number | null => {
    const milliseconds = patience(schedule)
    return milliseconds === null ? null : milliseconds / HOUR
  }
  assert.equal(hours(""), null)
  assert.equal(hours("hourly"), 1.5)
  assert.equal(hours("every 6 hours"), 9)
  for (const daily of ["daily", "each night", "Every day at 22:15", "nightly, 22:15", "15 22 * * *", "sometimes"])
    assert.equal(hours(daily), 36, daily)
  assert.equal(hours("every 2 days"), 72)
  assert.equal(hours("weekly"), 252)
  assert.equal(hours("once a month"), 1_116)
})

test("ages are in hours, then in days", () => {
  assert.equal(ageWords(HOUR / 2), "0.5 hours")
  assert.equal(ageWords(47 * HOUR), "47.0 hours")
  assert.equal(ageWords(60 * HOUR), "2.5 days")
})

test("Node.js must be of version 24 or later", () => {
  assert.equal(nodeTrouble("24.0.0"), null)
  assert.equal(nodeTrouble("100.1.2"), null)
  assert.equal(nodeTrouble("22.21.1")?.problem, "this is 22.21.1")
})
