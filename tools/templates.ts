// Writes deploy/cloudformation anew: node --conditions=source tools/templates.ts

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { templates } from "../packages/aws/src/index.ts"

const folder = join(dirname(import.meta.dirname), "deploy", "cloudformation")
const scratch = mkdtempSync(join(tmpdir(), "templates-"))
mkdirSync(folder, { recursive: true })
for (const [file, text] of templates(scratch)) writeFileSync(join(folder, file), text)
rmSync(scratch, { recursive: true })
