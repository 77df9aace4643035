/** One test with a planted bug in the product: `PLANTED_FILE` is loaded from `PLANTED_SOURCE` (test/sim/planted/catch.ts). */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'

const file = resolve(process.env['PLANTED_FILE'] ?? '')
const sourcePath = process.env['PLANTED_SOURCE'] ?? ''

export default defineConfig({
  plugins: [
    {
      name: 'planted-bug',
      enforce: 'pre',
      load: (id) => (id === file ? readFileSync(sourcePath, 'utf8') : null),
    },
  ],
  test: { include: ['test/**/*.test.ts'], testTimeout: 30_000, pool: 'forks', maxWorkers: 1, bail: 1 },
})
