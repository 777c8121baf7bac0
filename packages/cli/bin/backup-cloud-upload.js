#!/usr/bin/env -S GLIBC_TUNABLES=glibc.malloc.hugetlb=1 node --max-semi-space-size=8 --heap-growing-percent=50
// Backs up a directory, as scripts call it: backup-cloud upload.
process.argv.splice(2, 0, "upload")
await import("./backup-cloud.js")
