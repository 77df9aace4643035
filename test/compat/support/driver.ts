/**
 * What a client must do to be tested, as one protocol of lines: a command in JSON on standard input, its answer on standard
 * output, one at a time. Clients of this process implement it as a class; the others by a program in their own language
 * (drivers/, go/, java/) that is given the settings as its one argument, in JSON:
 *
 *   settings  {"bootstrap": ["host:port", …], "protocol": "classic" | "consumer"}
 *   command   {"do": name, …arguments}
 *   answer    {"value": …}, or {"error": text} when the client could not
 *   end       of the input: the driver closes what it has open, and exits
 *
 * What a driver logs goes to standard error, and is shown when its test fails.
 */
export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type CodecName = (typeof CODECS)[number]

export interface Settings {
  /** `host:port` of every broker. */
  readonly bootstrap: readonly string[]
  /** How its consumers form groups. */
  readonly protocol: 'classic' | 'consumer'
}

export interface SentRecord {
  readonly partition: number
  readonly value: string
}

export interface ReadRecord {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** Every command: what it is given, and what it answers. */
export interface Commands {
  /** Connects, and answers what it found. */
  connect: [args: object, answer: { readonly version: string; readonly brokers: readonly number[] }]
  create_topic: [
    args: { readonly topic: string; readonly partitions: number; readonly replicas: number },
    answer: null,
  ]
  /** Answers with how many partitions a topic has; null when there is none of this name. */
  describe_topic: [args: { readonly topic: string }, answer: number | null]
  delete_topic: [args: { readonly topic: string }, answer: null]
  /**
   * Writes with `acks=all`, and answers with the offset of each record: -1 when it was acknowledged and the client does
   * not say where, null when it was not acknowledged.
   */
  produce: [
    args: {
      readonly topic: string
      readonly codec: CodecName
      readonly idempotent: boolean
      readonly records: readonly SentRecord[]
    },
    answer: readonly (number | null)[],
  ]
  /** Reads `count` records of one partition without a group, from an offset or from a time in ms since 1970. */
  read: [
    args: {
      readonly topic: string
      readonly partition: number
      readonly from: { readonly offset: number } | { readonly time: number }
      readonly count: number
    },
    answer: readonly ReadRecord[],
  ]
  /** Joins a group, which begins at the earliest offset. Nothing is committed by itself. One group at a time. */
  join: [args: { readonly group: string; readonly topic: string; readonly count?: number }, answer: null]
  /** Waits until the member owns `count` partitions, at most `ms`, and answers with those it owns then. */
  owned: [args: { readonly count: number; readonly ms: number }, answer: readonly number[]]
  /** Waits for `count` records, at most `ms`, and answers with those that came. */
  take: [args: { readonly count: number; readonly ms: number }, answer: readonly ReadRecord[]]
  /** Commits what was taken. */
  commit: [args: object, answer: null]
  leave: [args: object, answer: null]
}

export interface Driver {
  do<Name extends keyof Commands>(name: Name, args: Commands[Name][0]): Promise<Commands[Name][1]>
  end(): Promise<void>
  /** What it logged. */
  readonly log: readonly string[]
}
