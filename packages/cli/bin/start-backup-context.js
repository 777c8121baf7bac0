#!/usr/bin/env -S GLIBC_TUNABLES=glibc.malloc.hugetlb=1 node --max-semi-space-size=8 --heap-growing-percent=50
// Prints what a script evaluates; the earlier system had this name for backup-cloud context.
process.argv.splice(2, 0, "context")
await import("./backup-cloud.js")
