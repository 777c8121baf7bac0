import assert from "node:assert/strict"
import { test } from "node:test"
import { globs, percentDecode, toByteString } from "@backup-cloud/format"
import { erasedNames } from "../src/erase-names.ts"

const none = { paths: [], parameters: [], keys: [] }

test("a key is its object, beside a folder too, and its versions; nothing in it is a pattern", async () => {
  for (const key of ["letters/4711.pdf", "a[1]*?{b,c}\\d", "new\nline", "ü"]) {
    const { paths, files } = await erasedNames("s3", { ...none, keys: [key] })
    const path = toByteString(key)
    assert.deepEqual(
      files.map((file) => percentDecode(file)),
      [path, `${path}/.s3-self`].toSorted(),
    )
    const [pattern = ""] = paths
    const matches = (of: string): boolean => globs([pattern], []).judge(of, false, false) === "take"
    assert.ok(matches(`.s3-versions/${path}/.s3-version-abc`), key)
    for (const other of [path, `.s3-versions/${path}x/.s3-version-abc`, `.s3-versions/${path}/b/.s3-version-abc`])
      assert.ok(!matches(other), other)
  }
  assert.ok(
    !globs((await erasedNames("s3", { ...none, keys: ["a*"] })).paths, [])
      .judge(".s3-versions/ab/.s3-version-1", false, false)
      .startsWith("take"),
  )
})

test("a parameter is wherever it can lie; globs stay as they are, sorted and once", async () => {
  const { files, paths } = await erasedNames("ssm", { paths: ["b", "a", "b"], parameters: ["/app/key"], keys: [] })
  assert.deepEqual(paths, ["a", "b"])
  assert.deepEqual(files.slice(1), ["app/key", "app/key@"])
  assert.match(files[0] ?? "", /^@[0-9a-f]{32}$/)
})

test("names of one kind of source are not for another", async () => {
  await assert.rejects(erasedNames("dir", { ...none, keys: ["a"] }), { fault: "usage" })
  await assert.rejects(erasedNames("s3", { ...none, parameters: ["a"] }), { fault: "usage" })
})
