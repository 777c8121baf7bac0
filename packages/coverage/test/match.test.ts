import assert from "node:assert/strict"
import { test } from "node:test"
import { coverage, type Place, type Resource } from "../src/index.ts"

const bucket = (name: string): Resource => ({ kind: "s3-bucket", arn: `arn:aws:s3:::${name}`, name, parts: [] })
const server = (name: string, ...parts: string[]): Resource => ({
  ...{ kind: "rds-cluster", arn: `arn:aws:rds:eu-west-1:1:cluster:${name}`, name, parts },
})
const parameters = (name: string, ...parts: string[]): Resource => ({
  ...{ kind: "ssm-parameters", arn: `arn:aws:ssm:eu-west-1:1:parameter${name}`, name, parts },
})
const table: Resource = {
  kind: "dynamodb-table",
  arn: "arn:aws:dynamodb:eu-west-1:1:table/orders",
  name: "orders",
  parts: [],
}

function state(resource: Resource, places: readonly Place[], leftOut: Readonly<Record<string, string>> = {}) {
  const named = places.map((place, i) => ({ source: `s${i}`, place }))
  const [only] = coverage([resource], named, new Map(Object.entries(leftOut)))
  return `${only?.state} ${only?.by.join(",")}`
}
const s3 = (name: string, prefix: string, shard: (Place & { kind: "s3" })["shard"] = null): Place => ({
  ...{ kind: "s3", bucket: name, prefix, shard },
})
const shard = (index: number, count: number): Place => s3("b", "", { index, count })

const cases: [string, string, string][] = [
  ["a bucket that no source names", state(bucket("b"), [s3("c", "")]), "not-covered "],
  ["a bucket as a whole", state(bucket("b"), [s3("b", "")]), "covered s0"],
  ["a prefix of a bucket", state(bucket("b"), [s3("b", "x/")]), "part s0"],
  ["a prefix beside the whole", state(bucket("b"), [s3("b", "x/"), s3("b", "")]), "covered s0,s1"],
  ["all shards", state(bucket("b"), [shard(1, 2), shard(0, 2)]), "covered s0,s1"],
  ["a shard is missing", state(bucket("b"), [shard(0, 3), shard(2, 3)]), "part s0,s1"],
  ["shards of two divisions", state(bucket("b"), [shard(0, 2), shard(1, 3)]), "part s0,s1"],
  ["a range of keys", state(bucket("b"), [s3("b", "", "some")]), "part s0"],
  [
    "a server by its name, whatever its case",
    state(server("x", "W.example"), [{ kind: "host", host: "w.EXAMPLE", all: true }]),
    "covered s0",
  ],
  ["its reader's name", state(server("x", "w", "r"), [{ kind: "host", host: "r", all: true }]), "covered s0"],
  ["one database of a server", state(server("x", "w"), [{ kind: "host", host: "w", all: false }]), "part s0"],
  ["another server", state(server("x", "w"), [{ kind: "host", host: "v", all: true }]), "not-covered "],
  ["a server without a name", state(server("x"), [{ kind: "host", host: "", all: true }]), "not-covered "],
  ["parameters below a path", state(parameters("/a", "/a/x", "/a/y"), [{ kind: "ssm", path: "/a" }]), "covered s0"],
  ["all parameters", state(parameters("a", "a"), [{ kind: "ssm", path: "/" }]), "covered s0"],
  ["some of the parameters", state(parameters("/a", "/a/x", "/a/y"), [{ kind: "ssm", path: "/a/x" }]), "part s0"],
  [
    "parameters in two parts",
    state(parameters("/a", "/a/x", "/a/y"), [
      { kind: "ssm", path: "/a/x" },
      { kind: "ssm", path: "/a/y" },
    ]),
    "covered s0,s1",
  ],
  [
    "a path that only begins alike",
    state(parameters("/app", "/app/x"), [{ kind: "ssm", path: "/ap" }]),
    "not-covered ",
  ],
  ["what a person says", state(table, [{ kind: "arn", pattern: "arn:aws:dynamodb:*:*:table/orders" }]), "covered s0"],
  [
    "what a person says of another",
    state(table, [{ kind: "arn", pattern: "arn:aws:dynamodb:*:table/order" }]),
    "not-covered ",
  ],
  ["left out", state(table, [], { "arn:aws:dynamodb:*": "a cache" }), "left-out "],
  ["left out and in part", state(bucket("b"), [s3("b", "x")], { "arn:aws:s3:::b": "logs" }), "left-out s0"],
  ["left out and covered all the same", state(bucket("b"), [s3("b", "")], { "*": "all" }), "covered s0"],
  ["a pattern whose ends overlap", state(bucket("aa"), [], { "arn:aws:s3:::aa*aa": "x" }), "not-covered "],
]
for (const [name, found, expected] of cases)
  test(name, () => {
    assert.equal(found, expected)
  })

test("why something is left out is told", () => {
  const [only] = coverage([table], [], new Map([["*orders", "a cache"]]))
  assert.equal(only?.reason, "a cache")
})
