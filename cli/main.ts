#!/usr/bin/env node
/** The `millrace` command. Nothing but the command tree is loaded before it is known what is wanted (commands.ts). */
import { processContext } from './context.ts'
import { run } from './program.ts'

process.exitCode = await run(processContext(), process.argv.slice(2))
// What was not read of stdin must not keep the process waiting.
process.stdin.destroy()
