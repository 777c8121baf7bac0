// A few parameters of AWS Systems Manager below one path, each a SecureString: where a machine without a disk of its own
// keeps what is its own. Named as archives are, `ssm:/path?endpoint=…&region=…`.
//
// Not promised: that of two who replace a value at once one learns of the other. The service keeps the last 100 of each.

import type { SSMClient } from "@aws-sdk/client-ssm"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { awsFault } from "./aws-faults.ts"
import { clientSettings } from "./s3-client.ts"
import { type Access, accessOf, type Environment } from "./url.ts"

export interface ParameterFolder extends Disposable {
  /** Where the parameter is, for messages: `ssm:/path/name`. */
  place(name: string): string
  /** `null` if it is not there. Throws as a store does. */
  read(name: string, signal: AbortSignal): Promise<string | null>
  /** Throws `conflict` if it is there already. @param value of at most 8 KiB */
  create(name: string, value: string, signal: AbortSignal): Promise<void>
  /** Puts a value in the place of the one there, if there is one. @param value of at most 8 KiB */
  replace(name: string, value: string, signal: AbortSignal): Promise<void>
}

/** Throws `usage` for what is no `ssm:/path`. Asks for nothing yet. */
export function openParameters(url: string, env: Environment): ParameterFolder {
  const { path, access } = placeOf(url, env)
  let client: SSMClient | null = null
  const ssm = async () => {
    const sdk = await import("@aws-sdk/client-ssm")
    client ??= new sdk.SSMClient(clientSettings(access))
    return { ...sdk, client }
  }
  const put = async (name: string, value: string, replaces: boolean, signal: AbortSignal): Promise<void> => {
    const { PutParameterCommand, client: to } = await ssm()
    try {
      await to.send(
        new PutParameterCommand({
          ...{ Name: `${path}/${name}`, Value: value, Overwrite: replaces },
          // A long value makes it an advanced one, which costs a little and takes 8 KiB.
          ...{ Type: "SecureString", Tier: "Intelligent-Tiering" },
        }),
        { abortSignal: signal },
      )
    } catch (error) {
      throw awsFault(`ssm:${path}/${name}`, error, signal)
    }
  }
  return {
    place: (name) => `ssm:${path}/${name}`,
    async read(name, signal) {
      const { GetParameterCommand, client: from } = await ssm()
      try {
        const command = new GetParameterCommand({ Name: `${path}/${name}`, WithDecryption: true })
        return (await from.send(command, { abortSignal: signal })).Parameter?.Value ?? null
      } catch (error) {
        if (error instanceof Error && error.name === "ParameterNotFound") return null
        throw awsFault(`ssm:${path}/${name}`, error, signal)
      }
    },
    create: (name, value, signal) => put(name, value, false, signal),
    replace: (name, value, signal) => put(name, value, true, signal),
    [Symbol.dispose]() {
      client?.destroy()
    },
  }
}

function placeOf(url: string, env: Environment): { path: string; access: Access } {
  if (URL.canParse(url)) {
    const parsed = new URL(url)
    const parts = decodeURIComponent(parsed.pathname)
      .split("/")
      .filter((part) => part !== "")
    const fits = parts.length > 0 && parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part))
    if (parsed.protocol === "ssm:" && parsed.host === "" && fits)
      return { path: `/${parts.join("/")}`, access: accessOf(parsed, env, url) }
  }
  throw new BackupError("usage", `"${escapeControl(url)}" does not name a path of parameters; nothing was done`, {
    hint: "write ssm:/backup-cloud/identity/NAME",
  })
}
