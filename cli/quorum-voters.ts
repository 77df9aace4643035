/** `millrace cluster quorum add|remove ID`: changes who votes in the metadata quorum, one node at a time (KIP-853). */
import { Argument, Command } from 'commander'
import { parseBrokerId } from './arguments.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { counted } from './human.ts'

interface VoterOptions extends ConnectOptions {
  readonly directory?: string
}

export function addVoterCommand(context: Context): Command {
  const command = new Command('add')
    .summary('give a node a vote')
    .description(
      'Give a node of the cluster a vote on its metadata. It must run, and have caught up with the metadata log, which ' +
        'is waited for. A node that votes with a data directory that is lost must be removed first.',
    )
    .addArgument(nodeArgument())
    .option('--directory <id>', 'only if this is its data directory')
  return addConnectOptions(command).action((id: number, options: VoterOptions) =>
    withClient(context, options, async (client) => {
      const admin = client.admin()
      await admin.addVoter(id, directoryOf(options))
      const { voters } = await admin.describeQuorum()
      await context.out.line(`Node ${id} votes on the metadata: ${votersLeft(voters.length)}`)
      await context.err.line(
        `Name it in controller.quorum.voters of every node, so that they find it when all are started anew`,
      )
    }),
  )
}

export function removeVoterCommand(context: Context): Command {
  const command = new Command('remove')
    .summary('take the vote of a node')
    .description(
      'Take the vote of a node on the metadata, whether it runs or is gone for good. As a broker it stays. This is refused ' +
        'when too few of the voters that are left run to agree on anything.',
    )
    .addArgument(nodeArgument())
    .option('--directory <id>', 'only if it votes with this data directory')
  return addConnectOptions(command).action((id: number, options: VoterOptions) =>
    withClient(context, options, async (client) => {
      const admin = client.admin()
      await admin.removeVoter(id, directoryOf(options))
      const { voters } = await admin.describeQuorum()
      await context.out.line(`Node ${id} has no vote on the metadata any more: ${votersLeft(voters.length)}`)
    }),
  )
}

/** How many there are, and how many of them must run. */
export function votersLeft(count: number): string {
  return `of ${counted(count, 'voter')} ${Math.floor(count / 2) + 1} must run`
}

function nodeArgument(): Argument {
  return new Argument('<id>', 'the node').argParser(parseBrokerId)
}

function directoryOf({ directory }: VoterOptions): { directoryId?: string } {
  return directory === undefined ? {} : { directoryId: directory }
}
