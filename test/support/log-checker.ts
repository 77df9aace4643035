/**
 * Compares what producers know of their records with what was read back, and names every promise that was broken. It
 * knows nothing of brokers, so that it serves one process, a cluster of processes and a simulation alike.
 *
 * A record is known by an id that is unique over all logs, a log by any name (`topic-partition`). What a producer knows
 * goes into a `LogHistory` while it happens; reads are given at the end, in the order in which each reader saw its
 * records. Time and memory are linear in what was sent and read, but for one sort by offset.
 *
 * The faults are those of docs/faults.md, in the words of Jepsen's workload for this kind of system in brackets:
 *
 *   lost            acknowledged, or shown to a reader, and missing in a final read below records that are there
 *                   (lost-write)
 *   unseen          the same, but above everything that the final read shows: the end was cut off (unseen)
 *   duplicated      one record at two offsets (duplicate)
 *   reordered       a producer's later record of a log lies before an earlier one (nonmonotonic-send)
 *   corrupted       the id is right, the content is not what was sent
 *   foreign         nobody sent it, or it was sent to another log
 *   refused         its producer was told for certain that it is not in the log, and it is (G1a, aborted read)
 *   misplaced       it is there, but not at the offset that was acknowledged
 *   inconsistent    one offset of a log shows two records, to one reader or to two (inconsistent-offsets)
 *   skipped         a reader jumped over an offset at which another read has a record (poll-skip)
 *   went-back       a reader was given an offset at or below the one before (nonmonotonic-poll)
 */

/** What a producer knows of a record: `unknown` until it is told, and for good if it never is. */
export type SentOutcome = 'unknown' | 'acknowledged' | 'refused'

export interface SentRecord {
  readonly id: string
  readonly log: string
  readonly producer: string
  /** Place among the records that this producer sent to this log, from 0. */
  readonly sequence: number
  /** What must be read back; a digest will do, if reads give the same. */
  readonly content: string
  outcome: SentOutcome
  /** Null when it is not acknowledged, or was without telling where (acks 0). */
  offset: number | null
}

export interface ReadRecord {
  readonly offset: number
  readonly id: string
  readonly content: string
}

/** What one reader saw of one log, in its order. Replicas and clients are readers of their own. */
export interface LogRead {
  readonly reader: string
  readonly log: string
  readonly records: readonly ReadRecord[]
  /** It began after the last send had its outcome, at the first offset of the log, and went to the end. */
  readonly isFinal: boolean
  /** First offset that the log still has: what lies below was deleted on purpose. Default 0. */
  readonly logStartOffset?: number
}

export type FaultKind =
  | 'lost'
  | 'unseen'
  | 'duplicated'
  | 'reordered'
  | 'corrupted'
  | 'foreign'
  | 'refused'
  | 'misplaced'
  | 'inconsistent'
  | 'skipped'
  | 'went-back'

export interface LogFault {
  readonly kind: FaultKind
  readonly log: string
  readonly id: string
  readonly message: string
}

/** What producers know. Records enter in the order in which their producer sends them. */
export class LogHistory {
  readonly #records = new Map<string, SentRecord>()
  /** By producer and log: how many were sent. */
  readonly #counts = new Map<string, number>()
  readonly #outcomes: Record<SentOutcome, number> = { unknown: 0, acknowledged: 0, refused: 0 }

  /** To be called right before the record is given to the producer. */
  sent(producer: string, log: string, id: string, content: string): SentRecord {
    if (this.#records.has(id)) throw new Error(`Cannot note a record as sent: its id ${id} was used before`)
    const line = `${producer}\n${log}`
    const sequence = this.#counts.get(line) ?? 0
    this.#counts.set(line, sequence + 1)
    const record: SentRecord = {
      id,
      log,
      producer,
      sequence,
      content,
      outcome: 'unknown',
      offset: null,
    }
    this.#records.set(id, record)
    this.#outcomes.unknown++
    return record
  }

  /** @param offset - Where the producer was told that it is; null if it was not told. */
  acknowledged(record: SentRecord, offset: number | null): void {
    this.#settle(record, 'acknowledged')
    record.offset = offset
  }

  /** The producer was told that the record is not in the log and will not be. A time-out says no such thing. */
  refused(record: SentRecord): void {
    this.#settle(record, 'refused')
  }

  count(outcome: SentOutcome): number {
    return this.#outcomes[outcome]
  }

  find(id: string): SentRecord | null {
    return this.#records.get(id) ?? null
  }

  records(): Iterable<SentRecord> {
    return this.#records.values()
  }

  #settle(record: SentRecord, outcome: SentOutcome): void {
    if (record.outcome !== 'unknown') {
      throw new Error(`Cannot settle record ${record.id} as ${outcome}: it is ${record.outcome} already`)
    }
    record.outcome = outcome
    this.#outcomes.unknown--
    this.#outcomes[outcome]++
  }
}

/**
 * Finds what is wrong.
 *
 * @param reads - At least one final read of each log that was written to, or its records count as unseen.
 */
export function checkLogs(history: LogHistory, reads: readonly LogRead[]): LogFault[] {
  const faults: LogFault[] = []
  const shown = new ShownRecords()
  for (const read of reads) shown.add(read, faults)
  for (const read of reads) {
    checkRead(history, read, faults)
    checkProgress(shown, read, faults)
  }
  checkPresence(history, shown, reads, faults)
  return faults
}

/** One line per fault, and no more than `countMax` of each kind: one bug tends to show in many records. */
export function formatFaults(faults: readonly LogFault[], countMax = 10): string {
  const byKind = new Map<FaultKind, LogFault[]>()
  for (const fault of faults) {
    const ofKind = byKind.get(fault.kind)
    if (ofKind === undefined) byKind.set(fault.kind, [fault])
    else ofKind.push(fault)
  }
  return [...byKind]
    .flatMap(([kind, ofKind]) => [
      ...ofKind.slice(0, countMax).map(({ log, message }) => `${kind}: ${log}: ${message}`),
      ...(ofKind.length > countMax ? [`${kind}: ${ofKind.length - countMax} more`] : []),
    ])
    .join('\n')
}

/** Which record each offset of each log was seen to hold, by all readers together. */
class ShownRecords {
  readonly #logs = new Map<string, Map<number, { readonly id: string; readonly reader: string }>>()
  /** Made when all reads are added. */
  readonly #offsets = new Map<string, number[]>()

  add({ reader, log, records }: LogRead, faults: LogFault[]): void {
    const shown = this.of(log)
    for (const { offset, id } of records) {
      const other = shown.get(offset)
      if (other === undefined) shown.set(offset, { id, reader })
      else if (other.id !== id) {
        const message = `offset ${offset} is ${other.id} to ${other.reader} and ${id} to ${reader}`
        faults.push({ kind: 'inconsistent', log, id, message })
      }
    }
  }

  /** All offsets of a log at which a record was seen, ascending. */
  offsets(log: string): readonly number[] {
    let offsets = this.#offsets.get(log)
    if (offsets === undefined) {
      offsets = [...this.of(log).keys()].sort((a, b) => a - b)
      this.#offsets.set(log, offsets)
    }
    return offsets
  }

  of(log: string): Map<number, { readonly id: string; readonly reader: string }> {
    let shown = this.#logs.get(log)
    if (shown === undefined) {
      shown = new Map()
      this.#logs.set(log, shown)
    }
    return shown
  }
}

/** Every record read must be one that was sent there, as it was sent, once, in its producer's order, where it was acknowledged. */
function checkRead(history: LogHistory, { reader, log, records }: LogRead, faults: LogFault[]): void {
  const offsets = new Map<string, number>()
  const lastByProducer = new Map<string, SentRecord>()
  for (const { offset, id, content } of records) {
    const add = (kind: FaultKind, what: string): void => {
      faults.push({ kind, log, id, message: `${id} ${what}, read by ${reader} at offset ${offset}` })
    }
    const sent = history.find(id)
    if (sent === null || sent.log !== log) {
      add('foreign', sent === null ? 'was sent by nobody' : `was sent to ${sent.log}`)
      continue
    }
    const earlierOffset = offsets.get(id)
    if (earlierOffset === offset) continue // The reader went back, which is a fault of its own.
    if (earlierOffset !== undefined) {
      add('duplicated', `is at offset ${earlierOffset}, too`)
      continue
    }
    offsets.set(id, offset)
    if (sent.content !== content) add('corrupted', 'has not the content that was sent')
    if (sent.outcome === 'refused') add('refused', 'was refused')
    if (sent.outcome === 'acknowledged' && sent.offset !== null && sent.offset !== offset)
      add('misplaced', `was acknowledged at offset ${sent.offset}`)
    const last = lastByProducer.get(sent.producer)
    if (last !== undefined && last.sequence > sent.sequence)
      add('reordered', `was sent before ${last.id} and comes after it`)
    else lastByProducer.set(sent.producer, sent)
  }
}

/** A reader goes forward, and passes no record by. Offsets at which nobody saw a record may be markers, or compacted. */
function checkProgress(shown: ShownRecords, { reader, log, records }: LogRead, faults: LogFault[]): void {
  const known = shown.of(log)
  const offsets = shown.offsets(log)
  let index = 0
  let last: ReadRecord | null = null
  for (const record of records) {
    const { offset, id } = record
    if (last !== null && offset <= last.offset) {
      const message = `${reader} was given offset ${offset} after ${last.offset}`
      faults.push({ kind: 'went-back', log, id, message })
    }
    if (last !== null) {
      for (; index < offsets.length && offsets[index]! < offset; index++) {
        const passed = offsets[index]!
        if (passed <= last.offset) continue
        const passedId = known.get(passed)!.id
        const message = `${reader} was given offset ${offset} after ${last.offset}, past ${passedId} at ${passed}`
        faults.push({ kind: 'skipped', log, id: passedId, message })
      }
    }
    last = record
  }
}

/** What was acknowledged or shown once must be in each final read, unless it was deleted on purpose. */
function checkPresence(
  history: LogHistory,
  shown: ShownRecords,
  reads: readonly LogRead[],
  faults: LogFault[],
): void {
  /** Where a record must be, by log and id; null: anywhere. */
  const wanted = new Map<string, Map<string, number | null>>()
  const want = (log: string, id: string, offset: number | null): void => {
    const inLog = wanted.get(log) ?? new Map<string, number | null>()
    wanted.set(log, inLog.set(id, offset))
  }
  for (const { log, id, outcome, offset } of history.records())
    if (outcome === 'acknowledged') want(log, id, offset)
  for (const { log } of reads) {
    for (const [offset, { id }] of shown.of(log)) {
      const known = wanted.get(log)?.get(id) ?? null
      if (known === null && history.find(id)?.log === log) want(log, id, offset)
    }
  }

  for (const [log, inLog] of wanted) {
    const finals = reads.filter((read) => read.isFinal && read.log === log)
    if (finals.length === 0) {
      for (const id of inLog.keys())
        faults.push({ kind: 'unseen', log, id, message: `${id}: nobody read the log to its end` })
    }
    for (const { reader, records, logStartOffset = 0 } of finals) {
      const found = new Set(records.map(({ id }) => id))
      const endOffset = records.reduce((end, { offset }) => Math.max(end, offset + 1), logStartOffset)
      for (const [id, offset] of inLog) {
        if (found.has(id) || (offset !== null && offset < logStartOffset)) continue
        const was = history.find(id)!.outcome === 'acknowledged' ? 'acknowledged' : 'shown to a reader'
        const where = offset === null ? '' : ` at offset ${offset}`
        const kind = offset !== null && offset >= endOffset ? 'unseen' : 'lost'
        const message = `${id} was ${was}${where} and is not in the final read by ${reader}, which ends at ${endOffset}`
        faults.push({ kind, log, id, message })
      }
    }
  }
}
