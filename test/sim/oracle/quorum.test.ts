import { describe, expect, it } from 'vitest'
import type { DiskBatch, DiskLog } from './disk-log.ts'
import { QuorumRules } from './quorum.ts'
import type { QuorumLike, QuorumMember } from './quorum.ts'

/** A voter whose metadata log has one batch for each offset, with these leader epochs. */
function aVoter(id: number, epochs: readonly number[], crc = 0): QuorumMember {
  const batches = epochs.map((epoch, base) => ({ base, last: base, epoch, crc }) as DiskBatch)
  const log = {
    ...{ version: 0, count: batches.length, look: () => log, batches: (from: number) => batches.slice(from) },
    reaches: (offset: number) => batches.length >= offset,
  } as unknown as DiskLog
  return { id, life: `b${id}#1`, platter: log, live: log }
}

function shows(shown: Partial<QuorumLike>): QuorumLike {
  const voters = [{ id: 1 }, { id: 2 }, { id: 3 }]
  const usual = { role: 'follower', leaderEpoch: 2, highWatermark: 0, logEndOffset: 3 }
  return { ...usual, describe: () => ({ voters, committedVoters: voters }), ...shown }
}

const VOTERS = [aVoter(1, [1, 1, 2]), aVoter(2, [1, 1, 2]), aVoter(3, [1])]
const [FIRST, SECOND] = VOTERS as [QuorumMember, QuorumMember]
const members = (): readonly QuorumMember[] => VOTERS
const none = { leaderId: -1, leaderEpoch: 2, votedId: -1 }

function elected(rules: QuorumRules, voters: readonly number[], logEndOffset = 3): () => void {
  for (const voter of voters) rules.voted(voter, { ...none, votedId: 1 }, null)
  return () => rules.look(FIRST, shows({ role: 'leader', logEndOffset }), members)
}

describe('QuorumRules', () => {
  it('M1: two leaders of one epoch, whoever says so', () => {
    const rules = new QuorumRules()
    rules.voted(2, { ...none, leaderId: 1 }, null)
    expect(() => rules.voted(3, { ...none, leaderId: 1 }, null)).not.toThrow()
    expect(() => rules.voted(3, { ...none, leaderId: 2 }, null)).toThrow(/^M1: /)
  })

  it('M2: a voter whose epoch falls, or that votes twice', () => {
    const rules = new QuorumRules()
    const vote = { ...none, votedId: 1 }
    expect(() => rules.voted(2, { ...vote, leaderEpoch: 1 }, vote)).toThrow(/^M2: /)
    expect(() => rules.voted(2, { ...vote, votedId: 3 }, vote)).toThrow(/^M2: /)
    expect(() => rules.voted(2, { ...vote, leaderEpoch: 3, votedId: 3 }, vote)).not.toThrow()
  })

  it('M2: a leader without the durable votes of a majority', () => {
    expect(elected(new QuorumRules(), [1, 2])).not.toThrow()
    expect(elected(new QuorumRules(), [1])).toThrow(/^M2: /)
  })

  it('M3: committed metadata that differ', () => {
    const rules = new QuorumRules()
    rules.checkPrefix(FIRST, 3)
    expect(() => rules.checkPrefix(SECOND, 3)).not.toThrow()
    const other = aVoter(3, [1, 1, 1])
    expect(() => rules.checkPrefix(other, 2)).not.toThrow()
    expect(() => rules.checkPrefix(other, 3)).toThrow(/^M3: /)
    expect(() => rules.checkPrefix(aVoter(3, [1], 9), 1)).toThrow(/^M3: /)
  })

  it('M4: a leader that lacks what was committed', () => {
    const rules = new QuorumRules()
    rules.look(SECOND, shows({ leaderEpoch: 1, highWatermark: 2 }), members)
    expect(elected(rules, [1, 2])).not.toThrow()
    const lacking = new QuorumRules()
    lacking.look(SECOND, shows({ leaderEpoch: 1, highWatermark: 3 }), members)
    expect(elected(lacking, [1, 2], 2)).toThrow(/^M4: /)
  })

  it('M4: not one that learns late that it was elected, while a later epoch commits', () => {
    const rules = new QuorumRules()
    rules.look(SECOND, shows({ leaderEpoch: 3, highWatermark: 3 }), members)
    expect(elected(rules, [1, 2], 2)).not.toThrow()
  })

  it('M5: a high watermark that falls', () => {
    const rules = new QuorumRules()
    rules.look(SECOND, shows({ highWatermark: 3 }), members)
    expect(() => rules.look(SECOND, shows({ highWatermark: 2 }), members)).toThrow(/^M5: /)
  })

  it('M5: a commit that is not on the platters of a majority', () => {
    const rules = new QuorumRules()
    const lonely = (): readonly QuorumMember[] => [FIRST, aVoter(2, [1, 1]), aVoter(3, [1])]
    expect(() => rules.look(FIRST, shows({ highWatermark: 3 }), lonely)).toThrow(/^M5: /)
  })

  it('M5: takes what the voters before a change committed, until the change itself is', () => {
    const [voters, committedVoters] = [[{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }], [{ id: 1 }, { id: 2 }, { id: 3 }]] // prettier-ignore
    const changing = shows({ highWatermark: 3, describe: () => ({ voters, committedVoters }) })
    expect(() => new QuorumRules().look(FIRST, changing, members)).not.toThrow()
    const changed = shows({ highWatermark: 3, describe: () => ({ voters, committedVoters: voters }) })
    expect(() => new QuorumRules().look(FIRST, changed, members, () => changed)).toThrow(/^M5: /)
  })

  it('M5: allows a leader that is still starting one change of the voters, and not two', () => {
    const commits = (count: number): QuorumLike => {
      const voters = Array.from({ length: count }, (_, index) => ({ id: index + 1 }))
      return shows({ highWatermark: 3, describe: () => ({ voters, committedVoters: voters }) })
    }
    expect(() => new QuorumRules().look(FIRST, commits(4), members)).not.toThrow()
    expect(() => new QuorumRules().look(FIRST, commits(5), members)).toThrow(/^M5: /)
  })

  it('M5: a commit by counting of what an earlier leader wrote (Raft figure 8)', () => {
    const rules = new QuorumRules()
    elected(rules, [1, 2])()
    const old = shows({ role: 'leader', highWatermark: 2 })
    expect(() => rules.look(FIRST, old, members)).toThrow(/^M5: .*by counting/)
    const own = shows({ role: 'leader', highWatermark: 3 })
    expect(() => rules.look(FIRST, own, members)).not.toThrow()
  })
})
