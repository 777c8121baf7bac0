// What lies where in a backup: globals.sql, and of each database a folder with content.sql, create.sql and facts.json.

import { toByteString } from "@backup-cloud/format"

export const GLOBALS = "globals.sql"
export const FOLDER = "databases"

/** In the order in which they are read: the last two are made while the first one is. */
export const PARTS = ["content.sql", "create.sql", "facts.json"] as const
export type Part = (typeof PARTS)[number]

/** Byte string. A name of a database may hold what a name of a folder may not. */
export function folderOf(database: string): string {
  const name = /^\.{1,2}$/.test(database)
    ? database.replaceAll(".", encode)
    : database.replace(/[%/\0-\x1f\x7f]/g, encode)
  return `${FOLDER}/${toByteString(name)}`
}

const encode = (c: string): string => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`

/** @param path as text. `null` for what is no part of a backup */
export function parsePath(path: string): { readonly database: string; readonly part: Part } | null {
  const [folder, name = "", part, ...more] = path.split("/")
  const known = PARTS.find((each) => each === part)
  if (folder !== FOLDER || name === "" || known === undefined || more.length > 0) return null
  return { database: name.replace(/%([0-9A-F]{2})/g, decode), part: known }
}

const decode = (_: string, digits: string): string => String.fromCharCode(Number.parseInt(digits, 16))
