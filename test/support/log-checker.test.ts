/** The checker of logs finds each kind of fault when it is planted, and nothing else. */
import { describe, expect, it } from 'vitest'
import { checkLogs, formatFaults, LogHistory } from './log-checker.ts'
import type { FaultKind, LogRead, ReadRecord, SentRecord } from './log-checker.ts'

/** Ten records of two producers in one log, acknowledged at the offsets 0 to 9: a0 b0 a1 b1 … */
function tenAcknowledged(): { history: LogHistory; log: ReadRecord[] } {
  const history = new LogHistory()
  const log: ReadRecord[] = []
  for (let offset = 0; offset < 10; offset++) {
    const id = `${offset % 2 === 0 ? 'a' : 'b'}${offset >> 1}`
    const content = `content of ${id}`
    history.acknowledged(history.sent(id[0]!, 'log', id, content), offset)
    log.push({ offset, id, content })
  }
  return { history, log }
}

const finalRead = (records: readonly ReadRecord[], more: Partial<LogRead> = {}): LogRead => ({
  reader: 'last',
  log: 'log',
  records,
  isFinal: true,
  ...more,
})
const earlyRead = (records: readonly ReadRecord[]): LogRead => ({
  reader: 'early',
  log: 'log',
  records,
  isFinal: false,
})

function found(history: LogHistory, ...reads: LogRead[]): [FaultKind, string][] {
  return checkLogs(history, reads).map(({ kind, id }) => [kind, id])
}

/** Sends one more record to the log, whose outcome is not known yet. */
const sendOne = (history: LogHistory): SentRecord => history.sent('a', 'log', 'a5', 'content of a5')
const ONE_MORE: ReadRecord = { offset: 10, id: 'a5', content: 'content of a5' }

describe('the checker', () => {
  it('finds nothing in a log that holds what was acknowledged, as it was sent', () => {
    const { history, log } = tenAcknowledged()

    expect(found(history, finalRead(log), earlyRead(log.slice(2, 7)))).toEqual([])
    expect([history.count('acknowledged'), history.count('unknown')]).toEqual([10, 0])
  })

  it('finds a lost record below others', () => {
    const { history, log } = tenAcknowledged()

    expect(found(history, finalRead(log.filter(({ id }) => id !== 'b1')))).toEqual([['lost', 'b1']])
  })

  it('finds a lost record whose offset another one took', () => {
    const { history, log } = tenAcknowledged()
    sendOne(history)
    const replaced = [...log.slice(0, 9), { ...ONE_MORE, offset: 9 }]

    expect(found(history, finalRead(replaced))).toEqual([['lost', 'b4']])
  })

  it('finds a lost record that was acknowledged without an offset', () => {
    const { history, log } = tenAcknowledged()
    history.acknowledged(sendOne(history), null)

    expect(found(history, finalRead(log))).toEqual([['lost', 'a5']])
  })

  it('finds acknowledged records above a cut end', () => {
    const { history, log } = tenAcknowledged()

    expect(found(history, finalRead(log.slice(0, 8)))).toEqual([
      ['unseen', 'a4'],
      ['unseen', 'b4'],
    ])
    expect(found(history, finalRead([]))).toHaveLength(10)
  })

  it('takes a log that nobody read to its end for unseen', () => {
    const { history, log } = tenAcknowledged()

    expect(found(history, earlyRead(log)).map(([kind]) => kind)).toEqual(Array(10).fill('unseen'))
    expect(found(history)).toHaveLength(10)
  })

  it('finds a record that a reader saw and that is gone, though its producer never heard of it', () => {
    const { history, log } = tenAcknowledged()
    sendOne(history)

    expect(found(history, finalRead(log), earlyRead([...log, ONE_MORE]))).toEqual([['unseen', 'a5']])
  })

  it('finds a record that is missing at one of several final readers', () => {
    const { history, log } = tenAcknowledged()
    const replica = finalRead(log.slice(0, 9), { reader: 'replica 2' })

    expect(found(history, finalRead(log), replica)).toEqual([['unseen', 'b4']])
    expect(formatFaults(checkLogs(history, [finalRead(log), replica]))).toBe(
      'unseen: log: b4 was acknowledged at offset 9 and is not in the final read by replica 2, which ends at 9',
    )
  })

  it('finds a duplicated record', () => {
    const { history, log } = tenAcknowledged()

    expect(found(history, finalRead([...log, { ...log[3]!, offset: 10 }]))).toEqual([['duplicated', 'b1']])
  })

  it('finds a duplicated record whose outcome is unknown', () => {
    const { history, log } = tenAcknowledged()
    sendOne(history)

    expect(found(history, finalRead([...log, ONE_MORE, { ...ONE_MORE, offset: 11 }]))).toEqual([
      ['duplicated', 'a5'],
    ])
  })

  it('finds reordered records of a producer, and lets those of two producers be mixed as they may', () => {
    const mixed = new LogHistory()
    for (const id of ['a0', 'a1', 'b0']) mixed.sent(id[0]!, 'log', id, id)
    const read = (...ids: string[]): LogRead =>
      finalRead(ids.map((id, offset) => ({ offset, id, content: id })))

    expect(found(mixed, read('b0', 'a0', 'a1'))).toEqual([])
    expect(found(mixed, read('a0', 'b0', 'a1'))).toEqual([])
    expect(found(mixed, read('a1', 'b0', 'a0'))).toEqual([['reordered', 'a0']])
  })

  it('finds a record whose content changed', () => {
    const { history, log } = tenAcknowledged()
    const changed = log.map((record) =>
      record.id === 'a2' ? { ...record, content: 'Content of a2' } : record,
    )

    expect(found(history, finalRead(changed))).toEqual([['corrupted', 'a2']])
  })

  it('finds a record that nobody sent, and one that was sent to another log', () => {
    const { history, log } = tenAcknowledged()
    history.sent('a', 'another', 'x', 'x')
    const more = ['x', 'y'].map((id, index) => ({ offset: 10 + index, id, content: id }))

    expect(found(history, finalRead([...log, ...more]))).toEqual([
      ['foreign', 'x'],
      ['foreign', 'y'],
    ])
  })

  it('finds a record that was refused and is there', () => {
    const { history, log } = tenAcknowledged()
    history.refused(sendOne(history))

    expect(found(history, finalRead(log))).toEqual([])
    expect(found(history, finalRead([...log, ONE_MORE]))).toEqual([['refused', 'a5']])
  })

  it('lets a record of unknown outcome be there or not', () => {
    const { history, log } = tenAcknowledged()
    sendOne(history)

    expect(found(history, finalRead(log))).toEqual([])
    expect(found(history, finalRead([...log, ONE_MORE]))).toEqual([])
  })

  it('finds a record that is not where it was acknowledged', () => {
    const { history, log } = tenAcknowledged()
    history.acknowledged(sendOne(history), 10)

    expect(found(history, finalRead([...log, { ...ONE_MORE, offset: 11 }]))).toEqual([['misplaced', 'a5']])
  })

  it('finds an offset that shows two records to two readers', () => {
    const { history, log } = tenAcknowledged()
    sendOne(history)
    history.sent('b', 'log', 'b5', 'content of b5')
    const early = [...log, ONE_MORE]
    const late = [...log, { offset: 10, id: 'b5', content: 'content of b5' }]

    expect(found(history, earlyRead(early), finalRead(late))).toEqual([
      ['inconsistent', 'b5'],
      ['lost', 'a5'],
    ])
  })

  it('finds a reader that skips a record which another one saw, and lets markers be skipped', () => {
    const { history, log } = tenAcknowledged()
    const withHole = log.filter(({ offset }) => offset !== 4)

    expect(found(history, finalRead(log), earlyRead(withHole))).toEqual([['skipped', 'a2']])
    const marked = new LogHistory()
    marked.acknowledged(marked.sent('a', 'log', 'a0', ''), 0)
    marked.acknowledged(marked.sent('a', 'log', 'a1', ''), 2)
    const records = [0, 2].map((offset, index) => ({ offset, id: `a${index}`, content: '' }))
    expect(found(marked, finalRead(records))).toEqual([])
  })

  it('finds a reader that goes back', () => {
    const { history, log } = tenAcknowledged()

    const twice = [...log.slice(0, 5), ...log.slice(4)]
    const far = [{ ...log[0]!, offset: Number.MAX_SAFE_INTEGER }, ...log]

    expect(found(history, finalRead(log), earlyRead(twice))).toEqual([['went-back', 'a2']])
    expect(found(history, finalRead(log), earlyRead(far)).map(([kind]) => kind)).toContain('went-back')
  })

  it('does not miss what was deleted on purpose', () => {
    const { history, log } = tenAcknowledged()
    const left = log.slice(4)

    expect(found(history, finalRead(left, { logStartOffset: 4 }), earlyRead(log))).toEqual([])
    expect(found(history, finalRead(left, { logStartOffset: 3 }), earlyRead(log))).toEqual([['lost', 'b1']])
  })

  it('names no more than so many faults of a kind', () => {
    const { history } = tenAcknowledged()
    const lines = formatFaults(checkLogs(history, []), 3).split('\n')

    expect(lines).toHaveLength(4)
    expect(lines[3]).toBe('unseen: 7 more')
  })
})

describe('a history', () => {
  it('takes an id once and an outcome once', () => {
    const history = new LogHistory()
    const record = history.sent('a', 'log', 'a0', '')
    history.acknowledged(record, 0)

    expect(() => history.sent('a', 'other', 'a0', '')).toThrow('its id a0 was used before')
    expect(() => history.refused(record)).toThrow('it is acknowledged already')
  })
})
