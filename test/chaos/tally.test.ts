import { expect, it } from 'vitest'
import { formatOutcome, KIND_OF, Tally, VERDICT_KINDS } from './tally.ts'
import type { Outcome, Verdict } from './tally.ts'

const outcome = (tally: Tally, faults: Verdict['faults'] = []): Outcome => ({
  seed: 42,
  brokers: 3,
  tookMs: 61_400,
  tally,
  skipped: ['power cuts and full disks: mount does not work here'],
  acknowledged: 12_345,
  handledByGroup: 12_344,
  writers: ['our client over TCP', 'kafkajs'],
  longestGapMs: 3210,
  verdict: { faults },
  keptIn: faults.length === 0 ? null : '/kept',
  again: 'npm run chaos -- --seed 42',
})

it('Tally counts by kind, and tells those that never came', () => {
  const tally = new Tally()
  tally.add('kills')
  tally.add('kills', 3)
  tally.add('partitions')
  tally.addForm('slow sync')
  tally.addForm('kill')
  tally.addForm('slow sync')

  expect(tally.of('kills')).toBe(4)
  expect(tally.line()).toBe(
    'kills 4, pauses 0, restarts 0, partitions 1, one-way partitions 0, network faults 0, disk faults 0, corruptions 0, damaged files 0, power cuts 0',
  )
  expect(tally.forms()).toBe('kill 1, slow sync 2')
})

it('the report of a run in which all is well names what was done, checked and skipped', () => {
  const tally = new Tally()
  tally.add('kills', 2)
  tally.addForm('kill')

  expect(formatOutcome(outcome(tally)).split('\n')).toEqual([
    'chaos: seed 42, 3 brokers, 61 s',
    `  done: ${tally.line()}`,
    '  forms: kill 1',
    '  skipped: power cuts and full disks: mount does not work here',
    '  checked: 12345 acknowledged records of our client over TCP, kafkajs; 12344 handled by a group',
    '  longest time without an acknowledgement of some partition: 3.2 s',
    '  verdict: lost 0, duplicated 0, reordered 0, diverged 0, read above the high watermark 0, other 0',
    'chaos: ok',
  ])
})

it('the report of a failed run counts every fault, tells some of each kind, and how to run it again', () => {
  const lost = Array.from({ length: 12 }, (_, index) => ({
    kind: 'lost' as const,
    message: `record ${index}`,
  }))
  const report = formatOutcome(outcome(new Tally(), [...lost, { kind: 'other', message: 'one\ntwo' }]))

  expect(report).toContain('verdict: lost 12, duplicated 0,')
  expect(report).toContain('other 1')
  expect(report).toContain('    lost: record 9\n    lost: 2 more\n')
  expect(report).toContain('    other: one | two\n')
  expect(report.split('\n').slice(-3)).toEqual([
    '  kept: /kept',
    '  again: npm run chaos -- --seed 42',
    'chaos: FAILED',
  ])
})

it('every fault that the checker knows has its place in the verdict', () => {
  for (const kind of Object.values(KIND_OF)) expect(VERDICT_KINDS).toContain(kind)
})
