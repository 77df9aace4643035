/** Where `npm run compat` has put the clients that are no dependencies of ours: named by environment variables. */
import { spawnSync } from 'node:child_process'

/** The value of a variable, or why the client cannot be run. */
export interface Found {
  readonly path: string
  readonly missing: string | null
}

/** @param args - With which the program must run and exit with 0. */
export function findProgram(variable: string, args: readonly string[]): Found {
  const path = process.env[variable]
  if (path === undefined || path === '') return { path: '', missing: `${variable} is not set` }
  const { status } = spawnSync(path, args, { stdio: 'ignore' })
  return { path, missing: status === 0 ? null : `${path} ${args.join(' ')} fails` }
}
