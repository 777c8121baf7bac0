#!/bin/sh
# new-package.sh NAME "DESCRIPTION" [WORKSPACE DEPENDENCY...]: the files every package starts with.
set -eu
name=$1 description=$2; shift 2
mkdir -p "packages/$name/src" "packages/$name/test"
deps=$(for d in "$@"; do printf '"@backup-cloud/%s": "0.1.0",' "$d"; done | sed 's/,$//')
refs=$(for d in "$@"; do printf '{ "path": "../%s" },' "$d"; done | sed 's/,$//')
cat > "packages/$name/package.json" <<P
{
  "name": "@backup-cloud/$name",
  "version": "0.1.0",
  "description": "$description",
  "license": "Apache-2.0",
  "type": "module",
  "engines": { "node": ">=24" },
  "files": ["dist", "src"],
  "exports": {
    ".": { "source": "./src/index.ts", "default": "./dist/index.js" }
  },
  "dependencies": { $deps }
}
P
cat > "packages/$name/tsconfig.json" <<P
{
  "extends": "../../tsconfig.base.json",
  "compilerOptions": { "rootDir": "src", "outDir": "dist" },
  "include": ["src"],
  "references": [$refs]
}
P
