import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { lifeOf, processMark } from "@backup-cloud/format"

const module = import.meta.resolve("@backup-cloud/format")

test("a mark is that of its process, for as long as it runs", async () => {
  const script = `const { processMark } = await import(${JSON.stringify(module)})
    console.log(await processMark()); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, [...process.execArgv, "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  const mark = line.toString().trim()
  assert.equal(Number.parseInt(mark, 10), child.pid)
  assert.equal(await lifeOf(mark), "running")
  child.kill("SIGKILL")
  await once(child, "close")
  assert.equal(await lifeOf(mark), "ended")
})

test("a process id that was given out again, and one of before the last boot, are no longer that process", async () => {
  const mark = (await processMark()) ?? ""
  assert.equal(await lifeOf(mark), "running")
  const [pid = "", started = "", namespace = "", boot = ""] = mark.split(" ")
  assert.equal(pid, String(process.pid))
  assert.notEqual(boot, "")
  assert.equal(await lifeOf([pid, `${started}1`, namespace, boot].join(" ")), "ended")
  assert.equal(await lifeOf([pid, started, namespace, "00000000-0000-0000-0000-000000000000"].join(" ")), "ended")
})

test("what cannot be judged is not called ended", async () => {
  const mark = (await processMark()) ?? ""
  const foreign = mark.replace(/pid:\[[0-9]+\]/, "pid:[1]")
  assert.equal(await lifeOf(foreign), "unknown")
  for (const text of ["", "1", `${mark} x`, mark.replace(/^[0-9]+/, "../1")])
    assert.equal(await lifeOf(text), "unknown")
})

test("a process that has ended and was not waited for does not run", async () => {
  // The shell replaces itself by a program that never waits for the child it inherits; the child ends only then.
  const script = "sh -c 'until grep -q sleep /proc/$PPID/comm; do :; done' & echo $!; exec sleep 60"
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  const zombie = line.toString().trim()
  for (let tries = 0; tries < 1000 && !/\) Z /.test(readFileSync(`/proc/${zombie}/stat`, "latin1")); tries++)
    await new Promise((resolve) => setTimeout(resolve, 5))
  const stat = readFileSync(`/proc/${zombie}/stat`, "latin1")
  assert.match(stat, /\) Z /)
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  const [, , namespace = "", boot = ""] = ((await processMark()) ?? "").split(" ")
  assert.equal(await lifeOf([zombie, started, namespace, boot].join(" ")), "ended")
  child.kill("SIGKILL")
  await once(child, "close")
})
