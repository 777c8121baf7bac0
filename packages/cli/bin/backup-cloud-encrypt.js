#!/usr/bin/env -S GLIBC_TUNABLES=glibc.malloc.hugetlb=1 node --max-semi-space-size=8 --heap-growing-percent=50
// Seals files, as scripts call it: backup-cloud seal.
process.argv.splice(2, 0, "seal")
await import("./backup-cloud.js")
