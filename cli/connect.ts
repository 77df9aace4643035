/**
 * What all client commands share: `-b` and how long to look for a broker, a client that is closed whatever happens, and
 * topics that are not there told with the nearest name.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import type { Client } from '../src/index.ts'
import { parseDuration } from './arguments.ts'
import type { Context } from './context.ts'
import { CommandError, codeOf } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { nearestName } from './nearest.ts'
import { Notices } from './notices.ts'

export const BOOTSTRAP_VARIABLE = 'MILLRACE_BOOTSTRAP'
const BOOTSTRAP_DEFAULT = 'localhost:9092'

/** How long a command looks for a broker unless told, in ms: enough for one that is starting, short for a typo. */
const CONNECT_TIMEOUT_MS = 1000

export interface ConnectOptions {
  readonly bootstrap: string
  /** In ms. */
  readonly connectTimeout: number
}

/** Adds the options of `ConnectOptions`. */
export function addConnectOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-b, --bootstrap <address>', 'HOST:PORT[,…] or ws://HOST:PORT of the cluster')
        .env(BOOTSTRAP_VARIABLE)
        .default(BOOTSTRAP_DEFAULT),
    )
    .addOption(
      new Option('--connect-timeout <time>', 'how long to look for a broker, such as 30s')
        .argParser(parseDuration)
        .default(CONNECT_TIMEOUT_MS, '1s'),
    )
}

/**
 * Runs `work` with a client that is closed afterwards.
 *
 * @param says - Whether lost connections and the like are told as they happen. Not where telling it is the command's own work.
 */
export async function withClient<T>(
  { err }: Context,
  options: ConnectOptions,
  work: (client: Client, notices: Notices) => Promise<T>,
  says: 'notices' | 'nothing' = 'notices',
): Promise<T> {
  const { Client, silentLogger } = await import('../src/index.ts')
  const notices = new Notices(err)
  const client = new Client({
    logger: says === 'notices' ? notices : silentLogger,
    bootstrap: options.bootstrap,
    clientId: 'millrace-cli',
    bootstrapTimeoutMs: options.connectTimeout,
    connectTimeoutMs: Math.max(options.connectTimeout, CONNECT_ATTEMPT_MS_MIN),
  })
  try {
    return await work(client, notices)
  } finally {
    await client.close()
  }
}

/** A connection across the world, with a proxy in between, may take this long, in ms. */
const CONNECT_ATTEMPT_MS_MIN = 5000

/** Turns the protocol's way to say that a topic is missing into a sentence with the nearest name there is. */
export async function withTopic<T>(client: Client, topic: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
    throw (await findTopicMissing(client, topic)) ?? error
  }
}

/** The failure to show when `topic` is not there; null when it is, so that something else is missing. */
export async function findTopicMissing(client: Client, topic: string): Promise<CommandError | null> {
  const names = await client
    .admin()
    .listTopics()
    .then((topics) => topics.map(({ name }) => name))
    .catch((): string[] => []) // The suggestion is a courtesy; what is told is that the topic is missing.
  if (names.includes(topic)) return null
  const nearest = nearestName(topic, names)
  const advice =
    nearest === null
      ? 'See what there is with `millrace topic list`, or create it with `millrace topic create`'
      : `Did you mean ${nearest}?`
  return new CommandError(
    EXIT.notFound,
    `Cannot find topic ${JSON.stringify(topic)}: no broker has it`,
    advice,
  )
}
