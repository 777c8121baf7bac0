// From the key of an object to its path in the catalogue, so that no two objects have the same path, and every path is one
// that the catalogue and a directory can have. Ordinary keys stay as they are. What is escaped has a segment that begins
// with `.s3-`; a key with such a segment is escaped too. Keys and paths are byte strings (percent.ts of `format`).

import { hash } from "node:crypto"

const MARK = ".s3-"
const LONGEST = 255

/** @param key below the source's prefix; may be empty, begin or end with `/` and hold any byte */
export function pathOfKey(key: string): string {
  return key.split("/").map(segment).join("/")
}

/** Of an object whose path is also a folder: `a` beside `a/b`. @param path of that folder */
export function pathBeside(path: string): string {
  return `${path}/${MARK}self`
}

/** Of a version that is not the current one: apart from all current objects. */
export function pathOfVersion(key: string, version: string): string {
  const name = /^[A-Za-z0-9._-]{1,200}$/.test(version) ? version : hashed(version)
  return `${MARK}versions/${pathOfKey(key)}/${MARK}version-${name}`
}

function segment(text: string): string {
  if (text === "") return `${MARK}empty`
  if (text === ".") return `${MARK}dot`
  if (text === "..") return `${MARK}dotdot`
  const plain = text.startsWith(MARK) ? `${MARK}is${text}` : text
  return plain.length > LONGEST || plain.includes("\0") ? `${MARK}hash-${hashed(text)}` : plain
}

function hashed(bytes: string): string {
  return hash("sha256", Buffer.from(bytes, "latin1"))
}

/**
 * Where an object can lie in any backup, whatever else is there, and the folder of its older versions, which hold nothing else.
 * @param key byte string, below the source's prefix
 */
export function pathsOfObject(key: string): { readonly current: readonly string[]; readonly versions: string } {
  const path = pathOfKey(key)
  return { current: [path, pathBeside(path)], versions: `${MARK}versions/${path}` }
}
