#!/usr/bin/env node
/** The `millrace` command. Nothing but the command tree is loaded before it is known what is wanted (commands.ts). */
import { processContext } from './context.ts'
import { run } from './program.ts'

/** A process that has done its work ends by itself; after so long, in ms, something that was forgotten holds it. */
const END_MS = 5000

process.exitCode = await run(processContext(), process.argv.slice(2))
// What was not read of stdin must not keep the process waiting.
process.stdin.destroy()
setTimeout(() => {
  const held = process.getActiveResourcesInfo().join(', ')
  process.stderr.write(`note: The process did not end by itself, held by ${held}: please report this\n`)
  process.exit()
}, END_MS).unref()
