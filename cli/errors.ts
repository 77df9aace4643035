/**
 * From whatever was thrown to what the user reads: one sentence of what happened, one of what to do next, and the exit
 * code. Only `code` and `message` are looked at, so that no error class has to be loaded to describe an error.
 *
 * An error without a code that is known here is a fault of ours: its stack is shown, since a report needs it.
 */
import { EXIT } from './exit-codes.ts'
import type { ExitCode } from './exit-codes.ts'
import { printable } from './terminal.ts'
import type { Terminal } from './terminal.ts'

/** What a command fails with on its own account. Advice is a sentence without a full stop. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly code = 'COMMAND_FAILED'
  readonly exitCode: ExitCode
  readonly advice: string | null

  constructor(exitCode: ExitCode, message: string, advice: string | null = null, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
    this.advice = advice
  }
}

export interface Described {
  readonly message: string
  readonly advice: string | null
  readonly exitCode: ExitCode
  /** Where it was thrown, for faults of ours; else null. */
  readonly stack: string | null
}

interface Rule {
  readonly exitCode: ExitCode
  readonly advice?: string
}

const START_ADVICE =
  'Start a broker with `millrace start`, or say where one is with -b HOST:PORT or MILLRACE_BOOTSTRAP'

/** By code, as the error classes of the broker, the client and the adapters document them. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['CLIENT_CANNOT_CONNECT', { exitCode: EXIT.cannotConnect, advice: START_ADVICE }],
  [
    'CLIENT_DISCONNECTED',
    { exitCode: EXIT.cannotConnect, advice: 'See the log of the broker, then try again' },
  ],
  [
    'CLIENT_TIMED_OUT',
    { exitCode: EXIT.failed, advice: 'The broker is there but did not answer in time: see its log' },
  ],
  ['CLIENT_BAD_ARGUMENT', { exitCode: EXIT.usage }],
  [
    'CLIENT_UNSUPPORTED_BY_BROKER',
    { exitCode: EXIT.failed, advice: 'The broker is too old for this command, or not one of ours' },
  ],
  [
    'CLIENT_DELIVERY_TIMED_OUT',
    { exitCode: EXIT.failed, advice: 'It may be in the log all the same: look with `millrace tail`' },
  ],
  [
    'CLIENT_DELIVERY_UNKNOWN',
    { exitCode: EXIT.failed, advice: 'It may be in the log all the same: look with `millrace tail`' },
  ],
  ['CLIENT_LOG_TRUNCATED', { exitCode: EXIT.failed, advice: 'Begin anew with --from beginning' }],
  [
    'CLIENT_CORRUPT_BATCH',
    { exitCode: EXIT.failed, advice: 'Stop the broker and check its files with `millrace verify`' },
  ],
  [
    'CLIENT_PROTOCOL_VIOLATED',
    { exitCode: EXIT.failed, advice: 'Is that address a Kafka or Millrace broker?' },
  ],
  ['CLIENT_CLOSED', { exitCode: EXIT.failed }],
  ['CLIENT_ABORTED', { exitCode: EXIT.interrupted }],

  [
    'UNKNOWN_TOPIC_OR_PARTITION',
    { exitCode: EXIT.notFound, advice: 'See what there is with `millrace topic list`' },
  ],
  ['UNKNOWN_TOPIC_ID', { exitCode: EXIT.notFound, advice: 'See what there is with `millrace topic list`' }],
  [
    'TOPIC_ALREADY_EXISTS',
    { exitCode: EXIT.failed, advice: 'Give --if-not-exists when that is fine, or choose another name' },
  ],
  [
    'INVALID_TOPIC_EXCEPTION',
    {
      exitCode: EXIT.usage,
      advice: 'A name has 1 to 249 ASCII letters, digits, dots, underscores and dashes, and is not . or ..',
    },
  ],
  ['INVALID_PARTITIONS', { exitCode: EXIT.usage }],
  [
    'INVALID_REPLICATION_FACTOR',
    { exitCode: EXIT.usage, advice: 'There must be as many brokers as replicas' },
  ],
  ['INVALID_CONFIG', { exitCode: EXIT.usage }],
  ['INVALID_REQUEST', { exitCode: EXIT.usage }],
  ['POLICY_VIOLATION', { exitCode: EXIT.failed }],
  [
    'OFFSET_OUT_OF_RANGE',
    { exitCode: EXIT.failed, advice: 'See which offsets there are with `millrace topic describe`' },
  ],
  [
    'NOT_ENOUGH_REPLICAS',
    {
      exitCode: EXIT.failed,
      advice: 'Fewer replicas are in sync than min.insync.replicas asks for: start the others',
    },
  ],
  [
    'PREFERRED_LEADER_NOT_AVAILABLE',
    {
      exitCode: EXIT.failed,
      advice: 'Start that broker, or wait until it has caught up: `millrace cluster health`',
    },
  ],
  [
    'ELIGIBLE_LEADERS_NOT_AVAILABLE',
    {
      exitCode: EXIT.failed,
      advice: 'Start a broker that holds a replica: `millrace cluster health` names them',
    },
  ],
  [
    'INVALID_REPLICA_ASSIGNMENT',
    { exitCode: EXIT.usage, advice: 'See the brokers with `millrace broker list`' },
  ],
  [
    'BROKER_ID_NOT_REGISTERED',
    { exitCode: EXIT.notFound, advice: 'See the brokers with `millrace broker list`' },
  ],
  [
    'NOT_CONTROLLER',
    { exitCode: EXIT.failed, advice: 'No controller is active: see `millrace cluster health`' },
  ],
  [
    'MESSAGE_TOO_LARGE',
    { exitCode: EXIT.failed, advice: 'Raise max.message.bytes of the topic with `millrace topic alter`' },
  ],
  [
    'RECORD_LIST_TOO_LARGE',
    { exitCode: EXIT.failed, advice: 'Raise max.message.bytes of the topic with `millrace topic alter`' },
  ],

  ['GROUP_ID_NOT_FOUND', { exitCode: EXIT.notFound, advice: 'See what there is with `millrace group list`' }],
  ['INVALID_GROUP_ID', { exitCode: EXIT.usage, advice: 'A group has a name that is not empty' }],
  [
    'NON_EMPTY_GROUP',
    {
      exitCode: EXIT.failed,
      advice: 'Stop them first; one that was killed counts until its session is over (45 s by default)',
    },
  ],
  [
    'CLIENT_NOT_A_MEMBER',
    {
      exitCode: EXIT.failed,
      advice: 'Nothing is lost: the same command again goes on from what is committed',
    },
  ],
  [
    'COORDINATOR_LOAD_IN_PROGRESS',
    { exitCode: EXIT.failed, advice: 'A broker still reads what its groups have committed: try again soon' },
  ],
  [
    'COORDINATOR_NOT_AVAILABLE',
    {
      exitCode: EXIT.failed,
      advice: 'A partition of __consumer_offsets has no leader: see `millrace cluster health`',
    },
  ],
  [
    'GROUP_MAX_SIZE_REACHED',
    { exitCode: EXIT.failed, advice: 'See who is in it with `millrace group describe`' },
  ],

  ['VOTER_NOT_FOUND', { exitCode: EXIT.notFound, advice: 'See who votes with `millrace cluster quorum`' }],
  [
    'DUPLICATE_VOTER',
    {
      exitCode: EXIT.failed,
      advice: 'If its data directory is lost: `millrace cluster quorum remove ID`, then `add ID`',
    },
  ],

  ['NETWORK_ADDRESS_IN_USE', { exitCode: EXIT.failed, advice: 'Choose another port with --port' }],
  [
    'NETWORK_NO_ACCESS',
    { exitCode: EXIT.notAuthorised, advice: 'Ports below 1024 need a privilege: choose another with --port' },
  ],
  ['NETWORK_BAD_ADDRESS', { exitCode: EXIT.usage }],
  ['NETWORK_UNREACHABLE', { exitCode: EXIT.cannotConnect, advice: START_ADVICE }],
  ['NETWORK_TIMED_OUT', { exitCode: EXIT.cannotConnect, advice: START_ADVICE }],
  ['NETWORK_REFUSED_BY_PEER', { exitCode: EXIT.cannotConnect }],
  ['NETWORK_FAILED', { exitCode: EXIT.failed }],

  [
    'FILE_LOCKED',
    { exitCode: EXIT.failed, advice: 'Stop that process, or choose another directory with --data-dir' },
  ],
  ['FILE_NOT_FOUND', { exitCode: EXIT.notFound }],
  ['FILE_NO_ACCESS', { exitCode: EXIT.notAuthorised, advice: 'Run it as the user that owns the files' }],
  ['FILE_NO_SPACE', { exitCode: EXIT.failed, advice: 'Free space on that volume, then start again' }],
  ['FILE_TOO_MANY_OPEN', { exitCode: EXIT.failed, advice: 'Raise the limit of open files (ulimit -n)' }],
  ['FILE_IO', { exitCode: EXIT.failed, advice: 'See what the system says of the disk (dmesg)' }],
  ['FILE_EXISTS', { exitCode: EXIT.failed }],
  ['FILE_NOT_EMPTY', { exitCode: EXIT.failed }],

  ['CONFIG_UNKNOWN', { exitCode: EXIT.usage, advice: 'See all settings with `millrace config explain`' }],
  ['CONFIG_INVALID', { exitCode: EXIT.usage }],

  [
    'LOG_CORRUPT',
    { exitCode: EXIT.failed, advice: 'See what is damaged with `millrace verify`; nothing was changed' },
  ],
  [
    'LOG_DIRECTORY_MISMATCH',
    { exitCode: EXIT.failed, advice: 'Choose the directory that belongs to this broker with --data-dir' },
  ],
  [
    'LOG_DIRECTORY_FAILED',
    {
      exitCode: EXIT.failed,
      advice: 'See what the system says of the disk (dmesg), then start again: the start checks the logs',
    },
  ],
  [
    'QUORUM_FAILED',
    {
      exitCode: EXIT.failed,
      advice: 'See what the system says of the disk (dmesg), then start again: the start checks the logs',
    },
  ],
  [
    'BROKER_NOT_CLOSED_CLEANLY',
    {
      exitCode: EXIT.failed,
      advice: 'Free space on that volume if it is full; nothing acknowledged is lost',
    },
  ],
  ['LOG_WRONG_TOPIC', { exitCode: EXIT.failed }],
  ['LOG_FAILED', { exitCode: EXIT.failed }],
  ['LOG_NO_SPACE', { exitCode: EXIT.failed, advice: 'Free space on that volume, then start again' }],
])

/** Codes of the protocol that all mean the same here. */
const NOT_AUTHORISED =
  /_AUTHORIZATION_FAILED$|^SASL_AUTHENTICATION_FAILED$|^ILLEGAL_SASL_STATE$|^SECURITY_DISABLED$/
/** Codes from the error tables of the protocol, the client and the log: failures, but not faults of this program. */
const KNOWN_CODE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/
/** What Node puts on errors of the system, such as `ENOENT`. */
const SYSTEM_CODE = /^E[A-Z0-9]{2,}$/

const SYSTEM_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['ENOENT', { exitCode: EXIT.notFound }],
  ['EACCES', { exitCode: EXIT.notAuthorised }],
  ['EPERM', { exitCode: EXIT.notAuthorised }],
])

/** @param thrown - Anything. */
export function describeError(thrown: unknown): Described {
  if (thrown instanceof CommandError) {
    return { message: thrown.message, advice: thrown.advice, exitCode: thrown.exitCode, stack: null }
  }
  if (!(thrown instanceof Error)) {
    return { message: `Failed: ${String(thrown)}`, advice: null, exitCode: EXIT.failed, stack: null }
  }
  const code = codeOf(thrown)
  const rule = ruleFor(code)
  if (rule === null) return fault(thrown)
  const { exitCode, advice = null } = rule
  return { message: thrown.message, advice, exitCode, stack: null }
}

/** The stable code of an error, or an empty text. */
export function codeOf(thrown: unknown): string {
  const code: unknown = thrown instanceof Error && 'code' in thrown ? thrown.code : ''
  return typeof code === 'string' ? code : ''
}

/** Writes an error the way all commands do. */
export async function printError(err: Terminal, described: Described): Promise<void> {
  await err.line(`${err.style('red', 'error:')} ${printable(described.message)}`)
  if (described.advice !== null) await err.line(`  ${err.style('dim', described.advice)}`)
  if (described.stack !== null) await err.line(described.stack)
}

function ruleFor(code: string): Rule | null {
  const rule = RULES.get(code) ?? SYSTEM_RULES.get(code)
  if (rule !== undefined) return rule
  if (NOT_AUTHORISED.test(code)) {
    return { exitCode: EXIT.notAuthorised, advice: 'Ask whoever runs the broker for the right to do this' }
  }
  return KNOWN_CODE.test(code) || SYSTEM_CODE.test(code) ? { exitCode: EXIT.failed } : null
}

function fault(error: Error): Described {
  return {
    message: `${error.message || error.name} (this is a fault of millrace)`,
    advice: 'Please report it with the lines below and what you did',
    exitCode: EXIT.failed,
    stack: printableLines(error.stack ?? String(error)),
  }
}

function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
