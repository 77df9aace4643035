/**
 * `millrace broker decommission ID`: takes a broker out of the cluster, in steps that can be interrupted anywhere and gone on
 * with by the same command, since all that is done is kept by the cluster itself.
 *
 *   replicas move away, some at a time ──> its vote is taken ──> "stop it now" ──> it is stopped ──> unregistered
 *
 * The vote goes while the broker still runs: of two voters one could not be stopped before.
 *
 * What comes to the broker while this waits (a topic that was just created) moves away, too.
 */
import { Argument, Command } from 'commander'
import type { Client } from '../src/index.ts'
import { parseBrokerId } from './arguments.ts'
import { addressOf, getBroker } from './cluster-view.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError, codeOf } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted } from './human.ts'
import { votersLeft } from './quorum-voters.ts'
import { waitFor } from './progress.ts'
import type { Progress } from './progress.ts'

interface DecommissionOptions extends ConnectOptions {
  readonly drainOnly?: boolean
}

export function decommissionCommand(context: Context): Command {
  const command = new Command('decommission')
    .summary('take a broker out of the cluster')
    .description(
      'Take a broker out of the cluster: its replicas move to others, it loses its vote on the metadata, then ' +
        'it is to be stopped, then the cluster forgets it. Ctrl-C leaves everything as it is, and the same command goes on from there.',
    )
    .addArgument(new Argument('<id>', 'the broker').argParser(parseBrokerId))
    .option('--drain-only', 'end when the broker holds nothing any more')
  return addConnectOptions(command).action((id: number, options: DecommissionOptions) =>
    withClient(context, options, (client) => decommission(context, client, id, options)),
  )
}

async function decommission(
  context: Context,
  client: Client,
  id: number,
  options: DecommissionOptions,
): Promise<void> {
  const { out, err } = context
  const again = `Run \`millrace broker decommission ${id}\` again to go on`
  const drain = new Drain(client, id)
  if (!(await waitFor(context, (progress) => drain.step(progress)))) {
    await err.line(`Interrupted: ${drain.left}; what has begun to move goes on. ${again}`)
    return
  }
  await out.line(drain.told)
  if (options.drainOnly === true) return
  await takeVote(context, client, id)
  let isTold = false
  const isDone = await waitFor(context, async (progress) => {
    if (!(await drain.step(progress))) return false
    const broker = getBroker((await client.admin().describeCluster()).brokers, id)
    if (!broker.isFenced) {
      if (!isTold) await err.line(`Stop broker ${id} now (${addressOf(broker)}): Ctrl-C there, or SIGTERM`)
      isTold = true
      await progress.show(`Waiting for broker ${id} to stop`)
      return false
    }
    return unregister(client, id)
  })
  if (!isDone) {
    await err.line(`Interrupted: broker ${id} holds nothing, and is still part of the cluster. ${again}`)
    return
  }
  await out.line(`Broker ${id} is no part of the cluster any more`)
}

/** @returns False if it came back, or got replicas, since somebody looked: to be tried again. */
async function unregister(client: Client, id: number): Promise<boolean> {
  try {
    await client.admin().unregisterBroker(id)
    return true
  } catch (error) {
    if (codeOf(error) !== 'INVALID_REQUEST') throw error
    return false
  }
}

/** A broker that is gone and still a voter would count against the majority for ever. */
async function takeVote({ out }: Context, client: Client, id: number): Promise<void> {
  const admin = client.admin()
  const { voters } = await admin.describeQuorum()
  if (!voters.some(({ nodeId }) => nodeId === id)) return
  try {
    await admin.removeVoter(id)
  } catch (error) {
    // Asked twice, since the first answer was lost.
    if (codeOf(error) !== 'VOTER_NOT_FOUND') throw error
  }
  await out.line(`Broker ${id} has no vote on the metadata any more: ${votersLeft(voters.length - 1)}`)
}

class Drain {
  readonly #client: Client
  readonly #id: number
  /** Partitions that the broker held when this began. */
  #total = 0
  #left: number | null = null

  constructor(client: Client, id: number) {
    this.#client = client
    this.#id = id
  }

  get left(): string {
    return this.#left === null
      ? 'nothing was looked at yet'
      : `broker ${this.#id} still holds ${counted(this.#left, 'partition')}`
  }

  get told(): string {
    return this.#total === 0
      ? `Broker ${this.#id} holds no partitions`
      : `Moved ${counted(this.#total, 'partition')} away from broker ${this.#id}`
  }

  /** Begins what can begin. @returns Whether nothing is left there. */
  async step(progress: Progress): Promise<boolean> {
    const admin = this.#client.admin()
    if (this.#left === null) getBroker((await admin.describeCluster()).brokers, this.#id)
    const { leftCount, stuckCount } = await admin.drainBroker(this.#id)
    this.#total = Math.max(this.#total, leftCount)
    this.#left = leftCount
    if (leftCount > 0 && stuckCount === leftCount) {
      throw new CommandError(
        EXIT.failed,
        `Cannot move ${counted(leftCount, 'partition')} away from broker ${this.#id}: every other live broker has a replica already`,
        'Start one more broker, or ask for fewer replicas with `millrace topic reassign TOPIC --spread --replication-factor N`',
      )
    }
    const stuck = stuckCount === 0 ? '' : `, ${stuckCount} with nowhere to go`
    if (leftCount > 0)
      await progress.show(
        `Moving: ${this.#total - leftCount} of ${counted(this.#total, 'partition')} done${stuck}`,
      )
    return leftCount === 0
  }
}
