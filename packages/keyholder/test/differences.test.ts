import assert from "node:assert/strict"
import { test } from "node:test"
import { fullPolicy, policy } from "../../format/test/samples.ts"
import { policyDifferences } from "../src/differences.ts"

test("every member that came later is told when it comes, changes and goes", () => {
  const came = policyDifferences(policy, fullPolicy)
  const keep = "source db-1, last 7, hourly 0, daily 14, weekly 8, monthly 12, yearly 7, within_days 3, minimum 3"
  const hold = "source db-1, run -, name inquiry, until -"
  const drill = "source db-1, every_days 30, rto_minutes 240, rpo_minutes 0"
  const media = "copies 3, locations 2, offline 1, max_age_days 35"
  for (const sentence of [
    `The rule of what is kept is new: ${keep}.`,
    `The hold is new: ${hold}.`,
    `What is asked of offline copies changes from none to ${media}.`,
    `The rule of drills is new: ${drill}.`,
    "What a verifier may open alone is new: name vera, sources db-1.",
  ])
    assert.ok(came.includes(sentence), `${sentence}\nis not in\n${came.join("\n")}`)
  assert.ok(came.some((sentence) => /^New verifier vera \([0-9A-F]{40}\), present since /.test(sentence)))
  assert.equal(came.length, 7, "and the handed file")

  const gone = policyDifferences(fullPolicy, policy)
  assert.ok(gone.includes(`The rule of what is kept no longer holds: ${keep}.`))
  assert.ok(gone.includes(`What is asked of offline copies changes from ${media} to none.`))
  assert.equal(gone.length, 7)

  const wider = {
    ...fullPolicy,
    verifiers: fullPolicy.verifiers?.map((each) => ({ ...each, sources: ["db-1", "db-2"] })),
  }
  assert.deepEqual(policyDifferences(fullPolicy, wider as typeof fullPolicy), [
    "What a verifier may open alone is new: name vera, sources db-1 db-2.",
    "What a verifier may open alone no longer holds: name vera, sources db-1.",
  ])
})
