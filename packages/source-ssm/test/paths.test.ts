import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { possiblePaths } from "../src/index.ts"
import { pathsOf } from "../src/paths.ts"

test("wherever a parameter lies, it is one of the places where it can lie, whatever else there is", () => {
  const name = fc
    .array(fc.constantFrom("/", "a", "b", "a".repeat(256)), { minLength: 1, maxLength: 4 })
    .map((pieces) => pieces.join("").replace(/\/+/g, "/"))
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 8 }), (names) => {
      for (const [each, path] of pathsOf(names)) assert.ok(possiblePaths(each).includes(path), `${each}: ${path}`)
    }),
  )
  assert.deepEqual(possiblePaths("/app/password").slice(0, 2), ["app/password", "app/password@"])
  assert.equal(pathsOf(["/a", "/a/b"]).get("/a"), "a@")
})
