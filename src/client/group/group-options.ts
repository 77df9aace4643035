/** Options of a consumer that is a member of a group, with their defaults. */
import { ClientError } from '../client-error.ts'
import { wholeNumber } from '../client-options.ts'
import { rackOf } from '../consumer-options.ts'
import type { ConsumerOptions, TopicPartition } from '../consumer-options.ts'

/** What a member reads: topics by name, or all whose names match, now or later. */
export type Subscription =
  | readonly string[]
  /** In the syntax of RE2, matched against whole names by the broker. Internal topics never match. */
  | { readonly pattern: string }

/**
 * Told in order, one at a time. What they return is awaited before the group goes on, at most until the group gives the member
 * up (`handlerTimeoutMs`); what they throw ends the consumer.
 */
export interface GroupListener {
  /** Partitions that are the member's from now on. Positions are known: `seek` works. */
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => void | Promise<void>
  /** Partitions that the member gives back, before another gets them: `commit` still works. */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void | Promise<void>
  /** Partitions that others may have already: the group has given this member up. Nothing can be committed for them. */
  readonly onLost?: (partitions: readonly TopicPartition[]) => void | Promise<void>
}

export interface GroupConsumerOptions<K = Uint8Array | null, V = Uint8Array | null>
  extends Omit<ConsumerOptions<K, V>, 'topics' | 'untilEnd'>, GroupListener {
  /** Name of the group; its members share the partitions. */
  readonly group: string
  /** What to read; or `subscribe` says it later. */
  readonly topics?: Subscription
  /**
   * Names this member over restarts: while it is away for less than the session time-out, its partitions wait for it. No two
   * live members of a group may have the same.
   */
  readonly instanceId?: string
  /** Who commits. `auto` (default): what the loop or handler has finished, every `commitIntervalMs`, when partitions are given
   * back, and at the end. `manual`: nothing but what `commit` is called for. */
  readonly commit?: 'auto' | 'manual'
  /** In ms, default 1,000. A crash repeats at most what was handled in that time. */
  readonly commitIntervalMs?: number
  /**
   * How long one record (one batch, in a loop over batches) may be in the hands of the application, in ms; then the member
   * leaves the group, and others get its partitions. It is also how long the group waits for a partition to be given back.
   * Default 300,000.
   */
  readonly handlerTimeoutMs?: number
  /** How the broker spreads partitions: `uniform` or `range`; default is the broker's. */
  readonly assignor?: string
}

export interface GroupConfig {
  readonly group: string
  readonly instanceId: string | null
  readonly isAuto: boolean
  readonly commitIntervalMs: number
  readonly handlerTimeoutMs: number
  readonly assignor: string | null
  readonly rack: string | null
  readonly listener: GroupListener
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function groupConfig<K, V>(options: GroupConsumerOptions<K, V>): GroupConfig {
  if (typeof options.group !== 'string' || options.group === '')
    throw new ClientError('CLIENT_BAD_ARGUMENT', 'Cannot join a group: its name is empty')
  const { onAssigned, onRevoked, onLost } = options
  return {
    group: options.group,
    instanceId: options.instanceId ?? null,
    isAuto: (options.commit ?? 'auto') === 'auto',
    commitIntervalMs: wholeNumber('commitIntervalMs', options.commitIntervalMs ?? 1_000, 1),
    handlerTimeoutMs: wholeNumber('handlerTimeoutMs', options.handlerTimeoutMs ?? 300_000, 1),
    assignor: options.assignor ?? null,
    rack: rackOf(options.rack),
    listener: {
      ...(onAssigned === undefined ? {} : { onAssigned }),
      ...(onRevoked === undefined ? {} : { onRevoked }),
      ...(onLost === undefined ? {} : { onLost }),
    },
  }
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function checkSubscription(to: Subscription): void {
  const isSound = isPattern(to) ? typeof to.pattern === 'string' && to.pattern !== '' : to.length > 0
  if (isSound) return
  throw new ClientError(
    'CLIENT_BAD_ARGUMENT',
    'Cannot subscribe to nothing: wanted at least one topic, or { pattern }',
  )
}

export function isPattern(to: Subscription): to is { readonly pattern: string } {
  return !Array.isArray(to)
}
