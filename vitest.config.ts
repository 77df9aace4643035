import { configDefaults, defineConfig } from 'vitest/config'

const filesIn = (folder: string): string => `test/${folder}/**/*.test.ts`

/**
 * Folders whose tests leave nothing behind in their process: their files share one, and with it what is loaded and compiled, which
 * would be a fifth of the whole run. The others change the working directory, the environment or what is installed for good.
 */
const SHARING = [
  ...['base', 'broker', 'bytes', 'client', 'conformance', 'controller', 'coordinator', 'log', 'metadata'],
  ...['protocol', 'raft', 'records', 'replication', 'rpc', 'sim'],
].map(filesIn)
/** What .ci/run has steps of their own for. */
const FIRST = ['test/architecture.test.ts', 'test/docs.test.ts']
const COMPAT = [filesIn('compat')]

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // One more than the cores that it is made for: tests with real processes wait a good deal.
    maxWorkers: 3,
    projects: [
      { extends: true, test: { name: 'first', include: FIRST } },
      { extends: true, test: { name: 'sharing', include: SHARING, isolate: false } },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...FIRST, ...SHARING, ...COMPAT],
        },
      },
      { extends: true, test: { name: 'compat', include: COMPAT } },
    ],
  },
})
