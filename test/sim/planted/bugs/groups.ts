/** Mistakes in the coordinator of groups and in its members. */
import type { PlantedBug } from '../planted-bug.ts'

export const GROUP_BUGS: readonly PlantedBug[] = [
  {
    id: 'commit-answered-when-appended',
    file: 'src/coordinator/shard-writer.ts',
    find: `      if (waiter.endOffset > highWatermark) break
      this.#waiters.shift()`,
    replace: `      if (waiter.endOffset > logEndOffset) break
      this.#waiters.shift()`,
    what: 'an offset commit is acknowledged when the leader has it, not when it is committed',
    breaks: ['G5', 'G4'],
    scenarios: ['CG-2'],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/coordinator/runtime.test.ts',
        name: 'changes the state at once, and is acknowledged when it is committed',
      },
    },
  },
  {
    id: 'commit-of-another-epoch-acknowledged',
    file: 'src/coordinator/shard-writer.ts',
    find: 'if (logEndOffset !== this.#appendedEndOffset) {',
    replace: 'if (logEndOffset < 0) {',
    what: 'a coordinator whose log was cut takes the high watermark of what others wrote for that of its own',
    breaks: ['G5', 'S4'],
    scenarios: ['CG-2'],
    catcher: {
      test: {
        file: 'test/coordinator/runtime.test.ts',
        name: 'forgets it, too: it is loaded anew in the same epoch',
      },
    },
  },
  {
    id: 'failed-load-is-an-empty-group',
    file: 'src/coordinator/runtime.ts',
    find: `      shard.close('NOT_COORDINATOR')
      if (!giveUp.signal.aborted) this.#failed(led, error as Error)`,
    replace: `      if (giveUp.signal.aborted) shard.close('NOT_COORDINATOR')
      else this.#ready(led, shard, log.logEndOffset)`,
    what: 'a coordinator that could not read its log goes on with what it has, and tells that nothing was committed',
    breaks: ['G6', 'G4'],
    scenarios: ['CG-1'],
    catcher: {
      test: {
        file: 'test/coordinator/runtime.test.ts',
        name: 'CG-1: that cannot read its log, or finds it damaged, goes on loading and is never empty',
      },
    },
  },
  {
    id: 'stale-members-commit',
    file: 'src/coordinator/groups/consumer/consumer-group.ts',
    find: `      return 'UNSUPPORTED_VERSION'
    return findEpochMismatch(known, epoch)`,
    replace: `      return 'UNSUPPORTED_VERSION'
    return null`,
    what: 'an offset commit is taken from a member of whatever epoch',
    breaks: ['G3', 'G4'],
    scenarios: ['CG-3', 'CG-4'],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/coordinator/groups/consumer/consumer-group.random.test.ts',
        name: 'G1, G2, G3, G8: keeps its promises after each event, and settles',
      },
    },
  },
  {
    id: 'removed-members-commit',
    file: 'src/coordinator/groups/consumer/consumer-group.ts',
    find: `    if (known === undefined) return 'UNKNOWN_MEMBER_ID'
    const isClassic`,
    replace: `    if (known === undefined) return null
    const isClassic`,
    what: 'an offset commit is taken from one whom the group has removed',
    breaks: ['G3', 'G4'],
    scenarios: ['CG-4'],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/sim/group-members.test.ts',
        name: 'CG-4, G3: refuses what one that stood still past its session commits when it goes on',
      },
    },
  },
  {
    id: 'given-before-it-is-given-back',
    file: 'src/coordinator/groups/consumer/reconciler.ts',
    find: 'const gained = [...wanted].filter((partition) => input.isFree(topicId, partition))',
    replace: 'const gained = [...wanted]',
    what: 'a partition is assigned while another member still has it',
    breaks: ['G1'],
    scenarios: ['CG-7'],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/coordinator/groups/consumer/consumer-group.random.test.ts',
        name: 'G1, G2, G3, G8: keeps its promises after each event, and settles',
      },
    },
  },
  {
    id: 'silence-is-giving-back',
    file: 'src/coordinator/groups/consumer/reconciler.ts',
    find: 'return owned === null || namesAnyOf(owned, revoking)',
    replace: 'return owned !== null && namesAnyOf(owned, revoking)',
    what: 'a heartbeat that does not say what the member owns counts as its having given everything back',
    breaks: ['G1', 'G3'],
    scenarios: ['CG-7'],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/coordinator/groups/consumer/consumer-group.random.test.ts',
        name: 'G1, G2, G3, G8: keeps its promises after each event, and settles',
      },
    },
  },
  {
    id: 'dead-members-stay',
    file: 'src/coordinator/groups/consumer/consumer-group.ts',
    find: `      this.#deadlines.set(member.memberId, 'session', this.#sessionMs(member))
      if (member.state === 'unrevoked') {`,
    replace: "      if (member.state === 'unrevoked') {",
    what: 'a coordinator that takes a group over waits for ever for members that died with its predecessor',
    breaks: ['G8', 'G2', 'S3'],
    scenarios: ['CG-4'],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/sim/group-members.test.ts',
        name: 'G2, G8: finds out the dead although their coordinator died with them',
      },
    },
  },
  {
    id: 'offsets-of-the-living-expire',
    file: 'src/coordinator/groups/offset-store.ts',
    find: 'if (!isOf(current, offset) || (!isRead && isOld(offset)))',
    replace: 'if (!isOf(current, offset) || isOld(offset))',
    what: 'offsets expire although the group has members that read the topic',
    breaks: ['G7'],
    scenarios: ['CG-5'],
    catcher: {
      test: {
        file: 'test/coordinator/groups/offset-store.test.ts',
        name: 'G7: keeps what a group with members reads, however old',
      },
    },
  },
  {
    id: 'offsets-of-a-former-topic',
    file: 'src/coordinator/groups/offset-store.ts',
    find: 'return topic !== undefined && (offset.topicId === topic.id || offset.topicId === ZERO_UUID)',
    replace: 'return topic !== undefined',
    what: 'offsets that were committed for a topic count for another one made under its name',
    breaks: ['G4'],
    scenarios: ['CG-9'],
    catcher: {
      test: {
        file: 'test/coordinator/groups/offset-store.test.ts',
        name: 'has those that were committed for itself, next to others that were not',
      },
    },
  },
  {
    id: 'committed-before-it-is-handled',
    file: 'src/client/group/progress.ts',
    find: '    owned.hand = ++this.#handNumber\n',
    replace: '    owned.hand = ++this.#handNumber\n    owned.done = offset + 1\n',
    what: 'a record counts as done when it is handed out',
    breaks: ['G4'],
    scenarios: [],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/sim/group-consumer.test.ts',
        name: 'G4: neither loses nor counts a record that it was about to hand out when it was closed',
      },
    },
  },
  {
    id: 'last-partition-for-nobody',
    file: 'src/coordinator/groups/assignors/uniform.ts',
    find: 'for (let partition = 0; partition < owners.length; partition++) {\n        if (owners[partition] !== NOBODY) continue\n        if (turn >= takers.length) {',
    replace:
      'for (let partition = 0; partition < owners.length - 1; partition++) {\n        if (owners[partition] !== NOBODY) continue\n        if (turn >= takers.length) {',
    what: 'the assignor leaves a partition to nobody',
    breaks: ['G2', 'S3'],
    scenarios: [],
    catcher: {
      hasGroup: true,
      test: {
        file: 'test/coordinator/groups/assignors/uniform.test.ts',
        name: 'G2: gives each partition once, and shares that differ by one at most',
      },
    },
  },
]
