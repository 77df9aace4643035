/**
 * How a quorum begins: lists of voters come from settings, which people write, and a slip in one must neither make two
 * clusters of one id nor let voters without a memory outvote one that has it.
 */
import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/bytes/uuid.ts'
import type { Voter } from '../../src/raft/voter-set.ts'
import { World } from './support/core-world.ts'

const listed = (ids: readonly number[]): readonly Voter[] => ids.map((id) => ({ id, directoryId: ZERO_UUID }))

/** Nodes 1, 2, … with a list of voters each. */
function worldOf(...lists: readonly (readonly number[])[]): World {
  return new World(lists.length, 0, new Map(lists.map((ids, index) => [index + 1, listed(ids)])))
}

/** Time passes for all nodes in turn, and all is delivered, for so long that whoever can lead does. */
function live(world: World, without: readonly number[] = []): void {
  for (let round = 0; round < 60; round++)
    for (const { id } of world.nodes) {
      if (without.includes(id)) continue
      world.tick(id, 10)
      world.settle(without)
    }
}

const leadersOf = (world: World): number[] =>
  world.nodes.filter(({ core }) => core.leader !== null).map(({ id }) => id)
const strangersOf = (world: World, id: number) => [...world.node(id).core.state.strangers]
const hasLog = (world: World, id: number): boolean => world.node(id).log.endOffset > 0

describe('a new quorum', () => {
  it('begins once all voters of the list have said that it is theirs, and needs a majority only from then on', () => {
    const world = worldOf([1, 2, 3], [1, 2, 3], [1, 2, 3])

    live(world, [3])
    expect(leadersOf(world)).toEqual([])
    expect(world.node(1).core.state.epoch).toBe(0)
    world.take('*', '*')
    live(world)
    const [first] = leadersOf(world)
    expect(first).toBeDefined()
    live(world, [first!])

    const rest = [1, 2, 3].filter((id) => id !== first)
    expect(rest.filter((id) => world.node(id).core.leader !== null)).toHaveLength(1)
  })

  it('does not begin while one voter goes by another list; both know whose, and it begins when that is corrected', () => {
    const world = worldOf([1, 2, 3], [1, 2, 3], [2, 3, 4], [2, 3, 4])

    live(world, [4])

    expect(leadersOf(world)).toEqual([])
    expect(world.nodes.map(({ core }) => core.state.epoch)).toEqual([0, 0, 0, 0])
    expect(strangersOf(world, 1)).toEqual([[3, [2, 3, 4]]])
    expect(strangersOf(world, 2)).toEqual([[3, [2, 3, 4]]])
    expect(strangersOf(world, 3)).toEqual(expect.arrayContaining([[1, [1, 2, 3]], [2, [1, 2, 3]]])) // prettier-ignore
    const corrected = worldOf([1, 2, 3], [1, 2, 3], [1, 2, 3])
    live(corrected)
    expect(leadersOf(corrected)).toHaveLength(1)
  })

  it('of nodes of which one says that it is alone is that one alone, with the others as its observers', () => {
    const world = worldOf([1], [1, 2, 3], [1, 2, 3])

    live(world)

    expect(leadersOf(world)).toEqual([1])
    expect(world.node(2).core.state.leaderId).toBe(1)
    expect(hasLog(world, 3)).toBe(true)
  })

  it('of which one says that it is alone ends with that one: its observers, who count themselves voters, elect nobody', () => {
    const world = worldOf([1], [1, 2, 3], [1, 2, 3])
    live(world)
    world.take('*', '*')

    live(world, [1])

    expect(hasLog(world, 2)).toBe(true)
    expect(leadersOf(world)).toEqual([1])
    expect(strangersOf(world, 2)).toEqual([[1, [1]]])
  })

  it('M1: never leads beside another whose list has a node in common, whatever the lists of three nodes are', () => {
    const subsets = [[1], [2], [3], [1, 2], [1, 3], [2, 3], [1, 2, 3]]
    let foundedCount = 0
    for (const one of subsets)
      for (const two of subsets)
        for (const three of subsets) {
          const lists = [one, two, three]
          const world = worldOf(...lists)
          world.showsMessages = false
          try {
            live(world)
          } catch (error) {
            // A node that is on nobody's list may hear of two clusters that have nothing in common: it stops.
            expect((error as Error).message).toContain('An epoch has one leader')
          }
          const founders = leadersOf(world)
          foundedCount += founders.length
          for (const a of founders)
            for (const b of founders)
              if (a < b)
                expect(
                  lists[a - 1]!.filter((id) => lists[b - 1]!.includes(id)),
                  JSON.stringify(lists),
                ).toEqual([])
        }
    expect(foundedCount).toBeGreaterThan(0)
  })

  it('MQ-6, M10: is not made of two voters that lost their disks, in place of that of the third, which did not', () => {
    const world = worldOf([1, 2, 3], [1, 2, 3], [1, 2, 3])
    live(world)
    const [leader] = leadersOf(world)
    world.node(leader!).append('acked')
    live(world)
    const [keeper, ...wiped] = [1, 2, 3]
    for (const id of wiped) world.node(id).wipe()
    world.take('*', '*')

    live(world, [keeper])
    expect(leadersOf(world).filter((id) => id !== keeper)).toEqual([])
    world.take('*', '*')
    live(world)

    expect(world.node(keeper).log.toString()).toContain('acked')
    expect(wiped.filter((id) => world.node(id).core.leader !== null)).toEqual([])
  })

  it('grows out of one node that was alone, and never around it', () => {
    const world = worldOf([1], [1, 2, 3], [1, 2, 3])
    live(world, [2, 3])
    world.node(1).append('acked')
    world.node(1).sync()
    const grown = worldOf([1, 2, 3], [1, 2, 3], [1, 2, 3])
    const one = grown.node(1)
    one.log = world.node(1).log
    one.durableState = world.node(1).durableState
    one.crash()
    grown.take('*', '*')

    live(grown, [1])
    expect(leadersOf(grown)).toEqual([])
    grown.take('*', '*')
    live(grown)

    expect(leadersOf(grown)).toEqual([1])
    expect(grown.node(2).log.toString()).toContain('acked')
  })
})
