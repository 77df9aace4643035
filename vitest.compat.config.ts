// The compatibility matrix (npm run compat): tests of clients of others, and the reporter that makes a table of them.
import { defineConfig } from 'vitest/config'
import { MatrixReporter } from './test/compat/support/matrix.ts'

// Where .ci/run wants a report in JSON.
const jsonFile = process.env['COMPAT_JSON']

export default defineConfig({
  test: {
    include: ['test/compat/**/*.test.ts'],
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: [
      'default',
      ...(jsonFile === undefined ? [] : [['json', { outputFile: jsonFile }] as ['json', object]]),
      new MatrixReporter(),
    ],
  },
})
