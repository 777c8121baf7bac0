// What makes a copy of an archive a disk.

import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { archiveCodec, FORMAT, identityCodec, MEDIUM } from "@backup-cloud/format"

/** @param archive a folder @param medium 32 hex digits */
export function writeIdentity(disk: string, archive: string, medium: string): void {
  const document = archiveCodec.decode(readFileSync(join(archive, "archive.json")), "archive.json")
  const identity = identityCodec.encode({
    ...{ format: FORMAT, type: "identity", archive: document.archive, medium, created: document.created },
    ...{ label: `Disk ${medium.charAt(0)}`, set: medium, location: "vault", location_code: "00000000" },
    ...{ custodian: "", custodian_code: "00000000", parity: 0 },
  })
  writeFileSync(join(disk, MEDIUM), identity)
}
