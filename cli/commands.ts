/**
 * The commands with what the top-level help says of them. Each lives in a file of its own that is loaded when its name is
 * on the command line, and each file loads the broker or client only when the command runs: `--help` and shell completion
 * answer without either.
 */
import type { Command } from 'commander'
import type { Context } from './context.ts'

export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly isHidden?: true
  readonly load: (context: Context) => Promise<Command>
}

/** What completion scripts call. */
export const COMPLETE_COMMAND = '__complete'

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'start',
    summary: 'run a broker',
    load: async (context) => (await import('./start.ts')).startCommand(context),
  },
  {
    name: 'topic',
    summary: 'create, list, describe, alter, move and delete topics',
    load: async (context) => (await import('./topic.ts')).topicCommand(context),
  },
  {
    name: 'group',
    summary: 'list, describe, move and delete consumer groups',
    load: async (context) => (await import('./group.ts')).groupCommand(context),
  },
  {
    name: 'broker',
    summary: 'list and describe brokers, take one out of the cluster',
    load: async (context) => (await import('./broker.ts')).brokerCommand(context),
  },
  {
    name: 'cluster',
    summary: 'describe the cluster, tell whether it is well',
    load: async (context) => (await import('./cluster.ts')).clusterCommand(context),
  },
  {
    name: 'produce',
    summary: 'write lines from stdin to a topic',
    load: async (context) => (await import('./produce.ts')).produceCommand(context),
  },
  {
    name: 'tail',
    summary: 'show the last records of a topic and follow it',
    load: async (context) => (await import('./tail.ts')).tailCommand(context),
  },
  {
    name: 'dump',
    summary: 'print the batches of a segment file',
    load: async (context) => (await import('./dump.ts')).dumpCommand(context),
  },
  {
    name: 'verify',
    summary: 'check the data directory of a stopped broker',
    load: async (context) => (await import('./verify.ts')).verifyCommand(context),
  },
  {
    name: 'config',
    summary: 'explain the settings of a broker',
    load: async (context) => (await import('./config.ts')).configCommand(context),
  },
  {
    name: 'completion',
    summary: 'print a completion script for your shell',
    load: async (context) => (await import('./completion.ts')).completionCommand(context),
  },
  {
    name: COMPLETE_COMMAND,
    summary: 'what a completion script asks',
    isHidden: true,
    load: async (context) => (await import('./completion.ts')).completeCommand(context),
  },
]
