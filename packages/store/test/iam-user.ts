// Users of moto's with one policy each, for tests of what a role may do.

import assert from "node:assert/strict"
import type { Credentials, IamPolicy } from "../src/index.ts"
import type { Moto } from "./moto.ts"

/** A user with exactly this policy; its keys. Rights must not be enforced yet, or the maker has none. */
export async function makeUser(moto: Moto, name: string, policy: IamPolicy): Promise<Credentials> {
  const ask = async (action: string, parameters: Record<string, string>): Promise<string> => {
    const authorization =
      "AWS4-HMAC-SHA256 Credential=anybody/20261123/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
    const body = new URLSearchParams({ Action: action, Version: "2010-05-08", ...parameters })
    const answer = await fetch(`${moto.endpoint}/`, { method: "POST", headers: { authorization }, body })
    const text = await answer.text()
    assert.ok(answer.ok, text)
    return text
  }
  await ask("CreateUser", { UserName: name })
  // moto takes every condition for one that is not met; the gate judges them.
  const known = policy.Statement.map(({ Sid, Effect, Action, Resource }) => ({ Sid, Effect, Action, Resource }))
  const PolicyDocument = JSON.stringify({ ...policy, Statement: known })
  await ask("PutUserPolicy", { UserName: name, PolicyName: "role", PolicyDocument })
  const made = await ask("CreateAccessKey", { UserName: name })
  const field = (tag: string): string => new RegExp(`<${tag}>([^<]+)</${tag}>`).exec(made)?.[1] ?? ""
  return { accessKeyId: field("AccessKeyId"), secretAccessKey: field("SecretAccessKey") }
}
