// Checks of what the kinds of sources in the configuration need: the package of each, and the programs that it runs.

import { isFault } from "@backup-cloud/format"
import { installed } from "../installed.ts"
import { type Place, placeOf } from "../kinds.ts"
import type { Session } from "../session.ts"
import type { Check } from "./check.ts"
import { programCheck } from "./programs.ts"

interface Need {
  /** Name of the package without its scope, and how it is loaded. */
  readonly package?: readonly [string, () => Promise<unknown>]
  /** Each by the names that it may have, and the Debian package that brings it. */
  readonly programs?: readonly (readonly [readonly string[], string])[]
}

const GIT: Need["programs"] = [[["git"], "git"]]

const needs: Readonly<Record<Place["kind"], Need>> = {
  dir: {},
  upload: {},
  program: {},
  command: { package: ["source-command", () => import("@backup-cloud/source-command")] },
  s3: { package: ["source-s3", () => import("@backup-cloud/source-s3")] },
  ssm: { package: ["source-ssm", () => import("@backup-cloud/source-ssm")] },
  postgres: {
    package: ["source-postgres", () => import("@backup-cloud/source-postgres")],
    programs: [
      [["pg_dump"], "postgresql-client"],
      [["psql"], "postgresql-client"],
    ],
  },
  mysql: {
    package: ["source-mysql", () => import("@backup-cloud/source-mysql")],
    programs: [
      [["mariadb-dump", "mysqldump"], "mariadb-client"],
      [["mariadb", "mysql"], "mariadb-client"],
    ],
  },
  git: { package: ["source-git", () => import("@backup-cloud/source-git")], programs: GIT },
  github: { package: ["source-github", () => import("@backup-cloud/source-github")], programs: GIT },
}

/** Once for each kind that a source here is of. */
export function kindChecks({ io, config }: Session): Check[] {
  const places = Object.values(config.sources).flatMap(({ url }) => meant(url, io.env))
  const kinds = new Set(places.map(({ kind }) => kind))
  const programs = new Map<string, Check>()
  const packages: Check[] = []
  for (const kind of kinds) {
    const need = needs[kind]
    if (need.package !== undefined) packages.push(packageCheck(...need.package))
    for (const [names, apt] of need.programs ?? [])
      programs.set(names.join(), programCheck(io.env, names, apt, `a source is of kind ${kind}`))
  }
  const byMydumper = places.some((place) => place.kind === "mysql" && place.settings.dump === "mydumper")
  if (byMydumper) programs.set("mydumper", programCheck(io.env, ["mydumper"], "mydumper", "a source's URL says so"))
  return [...packages, ...programs.values()]
}

/** None for a URL that cannot be meant, which `backup` says. */
function meant(url: string, env: Session["io"]["env"]): Place[] {
  try {
    return [placeOf(url, env)]
  } catch (error) {
    if (isFault(error, "usage")) return []
    throw error
  }
}

function packageCheck(name: string, load: () => Promise<unknown>): Check {
  return {
    name: `the package @backup-cloud/${name} is installed`,
    async run() {
      try {
        await installed(name, load)
        return null
      } catch (error) {
        if (!isFault(error, "usage")) throw error
        return { problem: "it is not", mend: `npm install @backup-cloud/${name}` }
      }
    },
  }
}
