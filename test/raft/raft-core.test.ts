/** The core without a driver: the quorum scenarios of docs/faults.md, each as the shortest story that shows it. */
import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/bytes/uuid.ts'
import { World } from './support/core-world.ts'

const roleOf = (world: World, id: number): string => world.node(id).core.role.kind
const epochOf = (world: World, id: number): number => world.node(id).core.state.epoch
const highWatermarkOf = (world: World, id: number): number => world.node(id).core.state.highWatermark
const grantsOf = (world: World, from: number) =>
  world.transit.filter(
    ({ from: sender, message }) =>
      sender === from && message.kind === 'VoteResponse' && message.isGranted && !message.isPreVote,
  )

/** Brings a node to the point where its requests for votes are under way. */
function stand(world: World, id: number): void {
  for (let tries = 0; roleOf(world, id) !== 'candidate'; tries++) {
    if (tries > 30) throw new Error('It never stands')
    world.tick(id)
    world.deliver(world.take('*', '*').filter(({ message }) => message.kind.startsWith('Vote')))
    if (roleOf(world, id) !== 'candidate') world.node(id).persist()
  }
  world.node(id).persist()
}

describe('RaftCore', () => {
  it('MQ-1, M2: a vote is answered after it is durable; power lost before leaves no vote and no answer', () => {
    const world = new World(3)
    stand(world, 1)
    world.deliver(world.take('1', '2'))
    expect(world.node(2).core.state.voted?.id).toBe(1)
    expect(grantsOf(world, 2)).toEqual([])

    world.node(2).crash()
    expect(world.node(2).durableState.votedId).toBe(-1)
    expect(grantsOf(world, 2)).toEqual([])
    world.take('1', '*')

    stand(world, 3)
    world.deliver(world.take('3', '2'))
    world.node(2).persist()
    world.node(2).persist()
    expect(grantsOf(world, 2).map(({ to }) => to)).toEqual([3])
  })

  it('MQ-1, M2: a durable vote survives a crash: nobody else gets it, and the same candidate gets the same answer', () => {
    const world = new World(3)
    stand(world, 1)
    const request = world.take('1', '2')
    world.deliver(request)
    world.node(2).persist()
    world.node(2).crash()
    world.deliver(request)
    expect(grantsOf(world, 2).map(({ to }) => to)).toEqual([1])
    world.take('*', '*')
    const other = request.map(({ message }) => ({
      from: 3,
      to: 2,
      message: { ...message, fromId: 3, fromDirectoryId: world.bootstrap[2]!.directoryId },
    }))
    world.deliver(other)
    expect(grantsOf(world, 2)).toEqual([])
  })

  it('MQ-1: a vote in an epoch that was known before is durable before the answer, too', () => {
    const world = new World(3)
    stand(world, 1)
    const [request] = world.take('1', '2')
    // The epoch comes first, by another message; then the request.
    const news = world.node(1).core.state.addressed(2, { kind: 'BeginQuorumEpochRequest' }, 1)
    world
      .node(2)
      .step({ kind: 'message', message: { ...news, kind: 'EndQuorumEpochRequest', preferredSuccessors: [] } })
    world.node(2).persist()
    expect(world.node(2).durableState).toMatchObject({ leaderEpoch: 1, votedId: -1 })
    world.deliver([request!])
    expect(grantsOf(world, 2)).toEqual([])
    world.node(2).persist()
    expect(world.node(2).durableState).toMatchObject({ leaderEpoch: 1, votedId: 1 })
    expect(grantsOf(world, 2)).toHaveLength(1)
  })

  it('MQ-1: a candidate counts its own vote, and asks for others, only when its vote is durable', () => {
    const world = new World(1)
    expect(roleOf(world, 1)).toBe('candidate')
    world.node(1).persist()
    expect(roleOf(world, 1)).toBe('leader')
    expect(world.node(1).durableState).toMatchObject({ leaderEpoch: 1, votedId: 1 })
  })

  it('MQ-2, M5: a record on a majority of followers but not on the leader counts; the leader counts after its own sync', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    const before = highWatermarkOf(world, 1)
    world.node(1).append('a')
    world.node(1).step({ kind: 'durable' }) // of what was there before
    expect(highWatermarkOf(world, 1)).toBe(before)
    world.settle([3])
    expect(highWatermarkOf(world, 1)).toBe(before + 1)

    // One follower has it and the leader has not: no majority.
    const alone = new World(1)
    alone.node(1).persist()
    expect(highWatermarkOf(alone, 1)).toBe(0)
    alone.node(1).sync()
    expect(highWatermarkOf(alone, 1)).toBe(1)
  })

  it('MQ-2: a follower does not fetch, which would acknowledge, before its disk has what it appended', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    world.node(1).append('a')
    world.node(1).sync()
    world.deliver(world.take('1', '2'))
    expect(world.node(2).log.entries.at(-1)?.value).toBe('a')
    expect(world.take('2', '*')).toEqual([])
    world.node(2).sync()
    expect(world.take('2', '1')).toMatchObject([{ message: { kind: 'FetchRequest' } }])
  })

  it('MQ-3, M5: Raft figure 8: an old record that reached a majority is not committed before one of this epoch is', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    const committed = highWatermarkOf(world, 1)
    // (a) Node 1 writes `old` on its own disk; (b) node 2 leads epoch 2 and writes on its own disk only.
    world.node(1).append('old')
    world.node(1).sync()
    world.take('*', '*')
    world.handOver(1, 2, [1])
    world.deliver(world.take('2', '3'))
    world.node(3).persist()
    world.deliver(world.take('3', '2'))
    expect(roleOf(world, 2)).toBe('leader')
    world.node(2).sync()
    world.take('*', '*')
    // (c) Node 1 leads again and brings `old` to node 3: a majority has it. Its own first record is on no disk yet.
    world.node(1).crash()
    world.node(1).step({
      kind: 'message',
      message: world.node(3).core.state.addressed(1, { kind: 'BeginQuorumEpochRequest' }, 1),
    })
    world.node(1).persist()
    world.take('*', '*')
    world.handOver(2, 1, [2])
    world.deliver(world.take('1', '3'))
    world.node(3).persist()
    world.deliver(world.take('3', '1'))
    const leader = world.node(1)
    expect(leader.core.role.kind).toBe('leader')
    const startOffset = leader.core.leader!.epochStartOffset!
    for (let round = 0; round < 5; round++) {
      world.deliver(world.take('1', '3'))
      if (world.node(3).log.durableEndOffset < world.node(3).log.endOffset) world.node(3).sync()
      world.deliver(world.take('3', '1'))
    }
    expect(world.node(3).log.entries.at(-1)?.value).toBe('old')
    expect(leader.core.leader!.tracker.find(world.bootstrap[2]!)!.endOffset).toBe(startOffset)
    expect(leader.log.durableEndOffset).toBe(startOffset)
    expect(highWatermarkOf(world, 1)).toBeLessThanOrEqual(committed)
    // (d) With its own first record on a majority, both are committed.
    leader.sync()
    world.settle([2])
    expect(highWatermarkOf(world, 1)).toBe(startOffset + 1)
  })

  it('MQ-4: a leader that no majority fetches from resigns in bounded time, and says so', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    const startMs = world.nowMs
    world.take('*', '*')
    for (let count = 0; count < 20 && roleOf(world, 1) === 'leader'; count++) world.tick(1)
    expect(roleOf(world, 1)).not.toBe('leader')
    expect(world.nowMs - startMs).toBeLessThanOrEqual(300)
    expect(world.node(1).core.state.leaderId).toBeNull()
    expect(world.take('1', '*').some(({ message }) => message.kind === 'EndQuorumEpochRequest')).toBe(true)
  })

  it('MQ-4: fetches of one of two followers keep the leader; those of observers do not', () => {
    const world = new World(3, 1)
    world.elect(1)
    world.settle()
    for (let round = 0; round < 20; round++) {
      world.tick(1, 30)
      world.tick(2, 0)
      world.settle([3, 4])
    }
    expect(roleOf(world, 1)).toBe('leader')
    for (let round = 0; round < 20 && roleOf(world, 1) === 'leader'; round++) {
      world.tick(1, 30)
      world.tick(4, 0)
      world.settle([2, 3])
    }
    expect(roleOf(world, 1)).not.toBe('leader')
  })

  it('MQ-5, S6: a voter that hears nobody raises no epoch, and the others go on in theirs when it comes back', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    const epoch = epochOf(world, 1)
    for (let round = 0; round < 50; round++) {
      world.tick(3)
      // One-way: what it says arrives, what it is told does not.
      world.deliver(world.take('3', '*'))
      world.take('*', '3')
      world.tick(2, 0)
      world.settle([3])
    }
    expect([1, 2, 3].map((id) => epochOf(world, id))).toEqual([epoch, epoch, epoch])
    expect(roleOf(world, 1)).toBe('leader')
    for (let round = 0; round < 10 && roleOf(world, 3) !== 'follower'; round++) {
      world.tick(3)
      world.settle()
    }
    expect(roleOf(world, 3)).toBe('follower')
    expect(epochOf(world, 3)).toBe(epoch)
  })

  it('MQ-5: pre-votes bind nobody: after saying yes to one, a voter gives its vote to another', () => {
    const world = new World(3)
    world.tick(1)
    world.tick(1)
    const asked = world.take('1', '2').filter(({ message }) => message.kind === 'VoteRequest')
    expect(asked).toMatchObject([{ message: { isPreVote: true } }])
    world.deliver(asked)
    expect(world.node(2).core.state.voted).toBeNull()
    expect(world.node(2).blocked).toBeNull()
    expect(world.take('2', '1')).toMatchObject([{ message: { isGranted: true } }])
  })

  it('MQ-6, M10: a voter whose disk was replaced gives no vote to a candidate that counts on the old one', () => {
    const world = new World(3)
    world.elect(1)
    world.settle([3])
    world.node(1).append('acked')
    world.settle([3])
    expect(highWatermarkOf(world, 1)).toBe(2)
    // Node 2 loses its disk, node 1 is away: node 3 lacks what was committed.
    world.node(2).wipe()
    world.take('*', '*')
    for (let round = 0; round < 30; round++) {
      world.tick(3)
      world.tick(2)
      world.settle([1])
    }
    expect(roleOf(world, 3)).not.toBe('leader')
    expect(roleOf(world, 2)).not.toBe('leader')
    expect(world.node(2).durableState.votedId).toBe(-1)
  })

  it('MQ-6, S3: a leader answers who fetches and knows of an older disk of it only, and so learns of the new one', () => {
    const world = new World(3)
    world.elect(1)
    world.settle([3])
    world.take('*', '*')
    world.tick(2)
    for (const kind of ['FetchRequest', 'FetchSnapshotRequest'] as const) {
      const fromDirectoryId = world.bootstrap[1]!.directoryId
      const envelope = { fromId: 2, fromDirectoryId, toDirectoryId: world.bootstrap[2]!.directoryId }
      const about = { epoch: epochOf(world, 1), leaderId: 1, correlationId: 77 }
      const body =
        kind === 'FetchRequest'
          ? { kind, fetchOffset: 0, lastFetchedEpoch: 0, highWatermark: 0, maxWaitMs: 0, maxBytes: 1000 }
          : { kind, snapshotEndOffset: 7, snapshotEpoch: 1, position: 0, maxBytes: 1000 }
      world.deliver([{ from: 2, to: 1, message: { ...envelope, ...about, ...body } }])
      const answers = world.take('1', '2').filter(({ message }) => message.correlationId === 77)
      expect(answers.map(({ message }) => message.kind)).toEqual([kind.replace('Request', 'Response')])
    }
  })

  it('MQ-6: the new disk of a voter counts for nothing in the high watermark', () => {
    const world = new World(3)
    world.elect(1)
    world.settle([3])
    world.node(2).wipe()
    world.node(1).append('a')
    const before = highWatermarkOf(world, 1)
    for (let round = 0; round < 5; round++) {
      world.tick(2)
      world.settle([3])
    }
    expect(world.node(2).log.entries.at(-1)?.value).toBe('a')
    expect(highWatermarkOf(world, 1)).toBe(before)
  })

  it('MQ-6: disks that a configuration did not name are in the log once a leader has seen them', () => {
    const world = new World(3)
    const hidden = new World(3)
    Object.assign(hidden.bootstrap[0]!, { directoryId: ZERO_UUID })
    Object.assign(hidden.bootstrap[1]!, { directoryId: ZERO_UUID })
    Object.assign(hidden.bootstrap[2]!, { directoryId: ZERO_UUID })
    for (const node of hidden.nodes) node.crash()
    hidden.elect(1)
    hidden.settle()
    for (const node of hidden.nodes) expect(node.core.state.voters.latest.voters).toEqual(world.bootstrap)
  })

  it('MQ-7: a node whose list of voters names itself gets no vote of those whose list does not', () => {
    const unseen = (...ids: number[]) => ids.map((id) => ({ id, directoryId: ZERO_UUID }))
    const world = new World(3, 1)
    for (const id of [1, 2, 3]) {
      Object.assign(world, { bootstrap: unseen(1, 2, 3) })
      world.node(id).crash()
    }
    Object.assign(world, { bootstrap: unseen(1, 2, 4) })
    world.node(4).crash()
    world.take('*', '*')

    // Each pair is a majority by the list of one of the two.
    for (let round = 0; round < 30; round++) {
      world.tick(4)
      world.settle([1, 3])
    }
    expect(roleOf(world, 4)).toBe('prospective')
    expect(world.node(2).durableState.votedId).toBe(-1)
    world.take('*', '*')
    world.elect(1)
    for (let round = 0; round < 5; round++) {
      for (const { id } of world.nodes) world.tick(id)
      world.settle()
    }
    expect(roleOf(world, 4)).toBe('follower')
    expect(world.node(4).core.state.isVoter).toBe(false)
  })

  it('MQ-7, M8: voters change one at a time, not before this epoch has committed, and not while one is pending', () => {
    const world = new World(3, 2)
    world.elect(1)
    world.settle()
    const { core } = world.node(1)
    const with4 = [...world.bootstrap, { id: 4, directoryId: world.node(4).core.state.self.directoryId }]
    const with45 = [...with4, { id: 5, directoryId: world.node(5).core.state.self.directoryId }]
    expect(core.changeVoters(with45, world.nowMs)).toBe('too-much')
    expect(core.changeVoters(world.bootstrap, world.nowMs)).toBe('no-change')
    expect(core.changeVoters(with4, world.nowMs)).toBeNull()
    world.node(1).pump()
    expect(core.changeVoters(with45, world.nowMs)).toBe('change-pending')
    world.settle()
    expect(core.changeVoters(with45, world.nowMs)).toBeNull()
    expect(world.node(2).core.changeVoters(with45, world.nowMs)).toBe('not-leader')

    const fresh = new World(3)
    stand(fresh, 1)
    fresh.deliver(fresh.take('1', '2'))
    fresh.node(2).persist()
    fresh.deliver(fresh.take('2', '1'))
    expect(roleOf(fresh, 1)).toBe('leader')
    expect(fresh.node(1).core.changeVoters(fresh.bootstrap.slice(0, 2), 0)).toBe('not-ready')
  })

  it('MQ-7, M8: an uncommitted change of voters goes with its record when the log is cut', () => {
    const world = new World(3, 1)
    world.elect(1)
    world.settle()
    const with4 = [...world.bootstrap, { id: 4, directoryId: world.node(4).core.state.self.directoryId }]
    expect(world.node(1).core.changeVoters(with4, world.nowMs)).toBeNull()
    world.node(1).pump()
    expect(world.node(1).core.state.voters.latest.voters).toHaveLength(4)
    world.node(1).sync()
    world.take('*', '*')
    world.handOver(1, 2, [1])
    world.settle([1])
    expect(roleOf(world, 2)).toBe('leader')
    for (let round = 0; round < 5; round++) {
      world.tick(2)
      world.tick(1)
      world.settle()
    }
    expect(world.node(1).core.state.voters.latest.voters).toHaveLength(3)
    expect(world.node(1).log.entries).toEqual(world.node(2).log.entries)
  })

  it('MQ-7: a leader that was removed leads until that is committed, without counting itself, and then leaves', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    expect(world.node(1).core.changeVoters(world.bootstrap.slice(1), world.nowMs)).toBeNull()
    world.node(1).pump()
    world.node(1).sync()
    expect(roleOf(world, 1)).toBe('leader')
    world.settle([3])
    expect(roleOf(world, 1)).toBe('leader') // one of two is no majority
    for (let round = 0; round < 3; round++) {
      world.tick(3)
      world.settle()
    }
    expect(roleOf(world, 1)).toBe('unattached')
    for (let round = 0; round < 10; round++) {
      world.tick(2)
      world.settle()
    }
    expect([roleOf(world, 2), roleOf(world, 3)].sort()).toEqual(['follower', 'leader'])
    expect(world.node(1).core.state.isVoter).toBe(false)
  })

  it('MQ-8, M7: a follower that lags behind the log start takes the snapshot in pieces, and goes on from its end', () => {
    const world = new World(3)
    world.elect(1)
    world.settle([3])
    for (const value of ['a', 'b', 'c', 'd']) world.node(1).append(value)
    world.settle([3])
    const { log } = world.node(1)
    log.snapshots = [{ endOffset: 4, epoch: 1 }]
    log.entries.splice(0, 4)
    log.startOffset = 4
    for (let round = 0; round < 10; round++) {
      world.tick(3)
      world.settle()
    }
    expect(world.node(3).log.startOffset).toBe(4)
    expect(world.node(3).log.entries).toEqual(log.entries)
    expect(highWatermarkOf(world, 3)).toBe(highWatermarkOf(world, 1))
  })

  it('MQ-8: a leader that lets go of the snapshot while it is sent names the newer one, and the follower begins over', () => {
    const world = new World(3)
    world.elect(1)
    world.settle([3])
    for (const value of ['a', 'b', 'c', 'd', 'e']) world.node(1).append(value)
    world.settle([3])
    const { log } = world.node(1)
    const cutAt = (endOffset: number): void => {
      log.entries.splice(0, endOffset - log.startOffset)
      log.startOffset = endOffset
      log.snapshots = [{ endOffset, epoch: 1 }]
    }
    cutAt(3)
    for (
      let tries = 0;
      !world.transit.some(({ message }) => message.kind === 'FetchSnapshotResponse');
      tries++
    ) {
      if (tries > 50) throw new Error('No snapshot was asked for')
      world.tick(3)
      world.deliver(world.take('3', '1'))
      world.deliver(world.take('1', '3').filter(({ message }) => message.kind !== 'FetchSnapshotResponse'))
      if (world.lines.some((line) => line.startsWith('1>3 FetchSnapshotResponse'))) break
    }
    cutAt(5)
    for (let round = 0; round < 10; round++) {
      world.tick(3)
      world.settle()
    }
    expect(world.node(3).log.startOffset).toBe(5)
    expect(world.node(3).log.entries).toEqual(log.entries)
  })

  it('a leader that leaves hands over to the best log at once, without an election time-out', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    world.node(1).append('a')
    world.settle([3])
    const leftMs = world.nowMs
    world.node(1).step({ kind: 'resign' })
    world.settle()
    expect(roleOf(world, 2)).toBe('leader')
    expect(world.nowMs).toBe(leftMs)
  })

  it('M1, M4: of any two logs in a small scope, at most the one that may have all that is committed gets the vote', () => {
    // All pairs of logs of up to three records in epochs up to three, epochs never falling.
    const logs: number[][] = [[]]
    for (let index = 0; index < logs.length; index++) {
      const log = logs[index]!
      if (log.length === 3) continue
      for (let epoch = log.at(-1) ?? 1; epoch <= 3; epoch++) logs.push([...log, epoch])
    }
    expect(logs.length).toBe(20)
    for (const candidate of logs) {
      for (const voter of logs) {
        const world = new World(3)
        const { log: own } = world.node(2)
        own.entries = voter.map((epoch) => ({ epoch, value: 'x' }))
        own.durableEndOffset = voter.length
        world.node(2).durableState = { ...world.node(2).durableState, leaderEpoch: 4 }
        world.node(2).crash()
        world.take('*', '*')
        const { state } = world.node(1).core
        const log = { lastEpoch: candidate.at(-1) ?? 0, logEndOffset: candidate.length }
        const body = { isPreVote: false, ...log, voterIds: [] }
        const message = state.addressed(2, { kind: 'VoteRequest', ...body }, 1)
        world.node(2).step({ kind: 'message', message: { ...message, epoch: 5 } })
        world.node(2).persist()
        const isNewer = (candidate.at(-1) ?? 0) > (voter.at(-1) ?? 0)
        const isSame = (candidate.at(-1) ?? 0) === (voter.at(-1) ?? 0)
        const expected = isNewer || (isSame && candidate.length >= voter.length)
        expect(grantsOf(world, 2).length === 1, `${candidate.join()} asks ${voter.join()}`).toBe(expected)
      }
    }
  })

  it('drops answers to requests that are not under way, and messages of earlier epochs', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    const { core } = world.node(2)
    const before = JSON.stringify([core.state.epoch, core.role.kind, world.node(2).log.toString()])
    const fetch = world.node(1).core.state.addressed(
      2,
      {
        kind: 'FetchResponse',
        errorCode: 0,
        highWatermark: 99,
        records: new TextEncoder().encode('[{"epoch":9,"value":"evil"}]'),
        voterIds: [],
        divergingEpoch: -1,
        divergingEndOffset: -1,
        snapshotEndOffset: -1,
        snapshotEpoch: -1,
      },
      12_345,
    )
    world.node(2).step({ kind: 'message', message: fetch })
    world.node(2).step({ kind: 'message', message: { ...fetch, epoch: 0 } })
    expect(JSON.stringify([core.state.epoch, core.role.kind, world.node(2).log.toString()])).toBe(before)
  })

  it('M1: stops when two nodes claim to lead one epoch', () => {
    const world = new World(3)
    world.elect(1)
    world.settle()
    const claim = world.node(3).core.state.addressed(2, { kind: 'BeginQuorumEpochRequest' }, 1)
    const event = { kind: 'message', message: { ...claim, leaderId: 3 } } as const
    expect(() => world.node(2).core.step(event, world.nowMs)).toThrow(/An epoch has one leader/)
  })
})
