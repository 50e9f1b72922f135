import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// The stories need the program with the console in it, and the demo's advisory database: `make build db`.
export default function setup() {
  for (const file of ['../../bin/stockade', '../../bin/db/match.db', '../dist/app/index.html']) {
    const path = fileURLToPath(new URL(file, import.meta.url))
    if (!existsSync(path)) throw new Error(`${path} is not there: run make console build db first`)
  }
}
