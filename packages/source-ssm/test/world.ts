// What the tests of parameters share: moto and a tap before it for the whole file, and an empty moto for each test.

import { after, before } from "node:test"
import { PutParameterCommand, type PutParameterCommandInput, SSMClient } from "@aws-sdk/client-ssm"
import { type Machine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot, planRestore, type RestoreResult, restore } from "../../restore/src/index.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import type { SsmAccess, SsmEvent, SsmTargetOptions } from "../src/index.ts"
import { ssmTarget } from "../src/index.ts"
import { startTap, type Tap } from "./tap.ts"

export const REGION = "eu-central-1"

export interface Lab {
  readonly moto: Moto
  readonly tap: Tap
  /** Through the tap. */
  readonly access: SsmAccess
  /** Straight to moto. */
  readonly client: SSMClient
  readonly put: (input: Omit<PutParameterCommandInput, "Value"> & { Value: string }) => Promise<void>
  /** Forgets all parameters, requests and interceptions. */
  readonly reset: () => Promise<void>
}

/** Filled before the first test of the file. */
export function lab(): Lab {
  const made = {} as Lab
  before(async () => {
    const moto = await startMoto()
    const tap = await startTap(moto.endpoint)
    const client = new SSMClient({ endpoint: moto.endpoint, region: REGION, credentials: anybody })
    const ready: Lab = {
      ...{ moto, tap, client },
      // Tries once more, at once, so that tests of what fails are short.
      access: { endpoint: tap.endpoint, region: REGION, credentials: anybody, tries: 2, sleep: async () => undefined },
      async put(input) {
        await client.send(new PutParameterCommand({ Type: "String", ...input }))
      },
      async reset() {
        await fetch(`${moto.endpoint}/moto-api/reset`, { method: "POST" })
        tap.asked.length = 0
        tap.intercept = () => null
        tap.policy = null
      },
    }
    Object.assign(made, ready)
  })
  after(async () => {
    made.client.destroy()
    await made.tap.close()
    await made.moto.close()
  })
  return made
}

/** Restores the latest run of a machine. */
export async function restoreLatest(
  machine: Machine,
  options: Omit<SsmTargetOptions, "onEvent">,
  more: { verify?: boolean } = {},
): Promise<RestoreResult & { events: SsmEvent[] }> {
  const events: SsmEvent[] = []
  const view = await machine.view(machine.store, "latest")
  const root = await openRoot(view, signal)
  const result = await restore({
    view,
    plan: await planRestore(() => catalogueEntries(view, root, signal), null),
    target: ssmTarget({ ...options, onEvent: (event) => events.push(event) }),
    what: "latest",
    onEvent: () => undefined,
    signal,
    ...more,
  })
  return { ...result, events }
}

/** Path and attributes of every entry of the latest run. */
export async function attributesOf(machine: Machine): Promise<Map<string, Record<string, string>>> {
  const view = await machine.view(machine.store, "latest")
  const entries = await collect(catalogueEntries(view, await openRoot(view, signal), signal))
  return new Map(entries.map((entry) => [entry.path, Object.fromEntries(entry.attributes)]))
}
