/** Mistakes in the controller and in how brokers live with it: elections, in-sync sets, incarnations, sessions. */
import type { PlantedBug } from '../planted-bug.ts'

export const CONTROLLER_BUGS: readonly PlantedBug[] = [
  {
    id: 'member-in-whatever-incarnation',
    file: 'src/controller/alter-partition.ts',
    find: 'return isAvailable(image, brokerId) && image.brokers.get(brokerId)?.epoch === brokerEpoch',
    replace: 'return isAvailable(image, brokerId) && brokerEpoch >= -1',
    what: 'a follower is taken in for what an earlier incarnation of it had',
    breaks: ['R2', 'R14'],
    scenarios: ['RP-9'],
    catcher: {
      test: {
        file: 'test/controller/alter-partition.test.ts',
        name: 'RP-9: a member counts only in the incarnation that caught up',
      },
    },
  },
  {
    id: 'fenced-follower-let-in',
    file: 'src/controller/elections.ts',
    find: 'return broker !== undefined && !broker.isFenced && !broker.isInControlledShutdown',
    replace: 'return broker !== undefined && !broker.isInControlledShutdown',
    what: 'fenced brokers are let into in-sync sets and are elected',
    breaks: ['R14', 'S3', 'R15'],
    scenarios: ['RP-8'],
    catcher: {
      test: {
        file: 'test/controller/alter-partition.test.ts',
        name: 'RP-8: who is fenced, or about to stop, does not come in',
      },
    },
  },
  {
    id: 'partition-epoch-unchecked',
    file: 'src/controller/alter-partition.ts',
    find: "if (wanted.partitionEpoch < partition.partitionEpoch) return failed(index, 'INVALID_UPDATE_VERSION')",
    replace: '',
    what: 'the controller takes a change of an in-sync set that has changed since it was proposed',
    breaks: ['R2', 'R3'],
    scenarios: ['RP-6'],
    catcher: {
      test: {
        file: 'test/controller/alter-partition.test.ts',
        name: 'a request whose answer was lost can be sent again',
      },
    },
  },
  {
    id: 'leader-epoch-of-a-change-unchecked',
    file: 'src/controller/alter-partition.ts',
    find: "if (wanted.leaderEpoch < leaderEpoch) return 'FENCED_LEADER_EPOCH'",
    replace: '',
    what: 'the controller takes a change of an in-sync set from a leader of an earlier epoch',
    breaks: ['R6', 'R2'],
    scenarios: ['RP-6'],
    catcher: {
      test: {
        file: 'test/controller/alter-partition.test.ts',
        name: 'R6: a leader of an earlier epoch changes nothing',
      },
    },
  },
  {
    id: 'eligible-replicas-forgotten',
    file: 'src/controller/partition-change.ts',
    find: 'const candidates = new Set([...before.eligibleLeaderReplicas, ...before.isr])',
    replace: 'const candidates = new Set<number>()',
    what: 'who has everything and is not in sync any more is not eligible, so a lossy stop of the last one loses records',
    breaks: ['R1', 'R2', 'R15'],
    scenarios: ['RP-11'],
    catcher: {
      test: {
        file: 'test/sim/lossy-stops.test.ts',
        name: 'RP-11 R1: keeps everything through the one lossy stop',
      },
    },
  },
  {
    id: 'eligible-although-it-lost-something',
    file: 'src/controller/partition-change.ts',
    find: '(id) => replicas.includes(id) && !isr.includes(id) && id !== target.uncleanId)',
    replace: '(id) => replicas.includes(id) && !isr.includes(id))',
    what: 'who stopped without having saved everything stays eligible',
    breaks: ['R2', 'R1'],
    scenarios: ['RP-11'],
    catcher: {
      test: { file: 'test/sim/lossy-stops.test.ts', name: 'RP-11' },
    },
  },
  {
    id: 'back-before-anybody-noticed',
    file: 'src/controller/brokers.ts',
    find: 'const records = [registration, ...electWithout(brokerId, !isClean, context)]',
    replace: 'const records = [registration]',
    what: 'a broker that comes back within its session goes on leading in the same leader epoch, with what it has left',
    breaks: ['R6', 'R1', 'R2'],
    scenarios: ['RP-12'],
    catcher: {
      test: {
        file: 'test/controller/brokers.test.ts',
        name: 'M9, R6: a new incarnation gets every leadership with a new epoch, and its predecessor is refused',
      },
    },
  },
  {
    id: 'any-stop-is-clean',
    file: 'src/controller/brokers.ts',
    find: `    previousBrokerEpoch === current.epoch &&
    isSameDisk(current, request) &&`,
    replace: '    isSameDisk(current, request) &&',
    what: 'a broker stays eligible on the same disk, whether or not its last stop was clean',
    breaks: ['R1', 'R2'],
    scenarios: ['RP-11', 'RP-12', 'ST-13'],
    catcher: {
      test: { file: 'test/sim/lossy-stops.test.ts', name: 'A topic acknowledged from memory' },
    },
  },
  {
    id: 'unclean-election-unasked',
    file: 'src/controller/partition-change.ts',
    find: "const mayBeUnclean = rules.allowsUnclean || target.election === 'unclean'",
    replace: "const mayBeUnclean = !rules.allowsUnclean || target.election === 'unclean'",
    what: 'unclean elections are allowed where they are not, and not where they are',
    breaks: ['R15', 'R1', 'R2'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/controller/brokers.test.ts',
        name: 'R15: an election is unclean only where the topic allows it, and is marked',
      },
    },
  },
  {
    id: 'same-epoch-without-a-replica',
    file: 'src/controller/partition-change.ts',
    find: 'const raisesEpoch = leader !== before.leader || isUnclean || (hasLostReplica && leader !== null)',
    replace: 'const raisesEpoch = leader !== before.leader || isUnclean',
    what: 'a replica is taken away and given back in one leader epoch, and counts for the log that it has dropped',
    breaks: ['R14', 'R2'],
    scenarios: ['RP-10'],
    catcher: {
      test: {
        file: 'test/controller/moves.test.ts',
        name: 'RP-10: a removal raises the leader epoch although the leader stays',
      },
    },
  },
  {
    id: 'heartbeat-of-an-old-incarnation',
    file: 'src/controller/brokers.ts',
    find: 'if (broker.epoch !== request.brokerEpoch) {',
    replace: 'if (broker.epoch < request.brokerEpoch) {',
    what: 'a late heartbeat of an earlier incarnation speaks for the present one',
    breaks: ['M9'],
    scenarios: ['MQ-12'],
    catcher: {
      test: {
        file: 'test/controller/brokers.test.ts',
        name: 'M9, R6: a new incarnation gets every leadership with a new epoch, and its predecessor is refused',
      },
    },
  },
  {
    id: 'answered-before-it-is-committed',
    file: 'src/controller/decider.ts',
    find: 'if (committed === undefined) return response',
    replace: `if (committed !== undefined) committed.catch(() => undefined)
    return response
    if (committed === undefined) return response`,
    what: 'the controller answers when it has appended a change, not when it is committed',
    breaks: ['M11', 'M9', 'P4', 'R3'],
    scenarios: ['MQ-12'],
    catcher: {
      test: {
        file: 'test/controller/controller.test.ts',
        name: 'answers a change only once it is committed, and readers do not see it before',
      },
    },
  },
  {
    id: 'producer-ids-given-twice',
    file: 'src/controller/producer-ids.ts',
    find: 'const nextProducerId = firstId + PRODUCER_ID_BLOCK_COUNT',
    replace: 'const nextProducerId = firstId + 1',
    what: 'blocks of producer ids overlap',
    breaks: ['P4', 'P1'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/controller/controller.test.ts',
        name: 'P4: gives out each block of producer ids once, also to a broker that asks with an old epoch',
      },
    },
  },
  {
    id: 'sessions-by-the-wall-clock',
    file: 'src/controller/broker-sessions.ts',
    find: 'return this.#clock.monotonicMs() - this.#stillMs',
    replace: 'return (this.#clock as unknown as { wallTimeMs(): number }).wallTimeMs() - this.#stillMs',
    what: 'sessions of brokers are measured by a clock that may jump',
    breaks: ['S8', 'S6', 'S3'],
    scenarios: [],
    catcher: {
      test: { file: 'test/sim/cluster-versions.test.ts', name: 'F-CLK: wall clocks that jump by decades' },
    },
  },
  {
    id: 'produce-below-min-isr',
    file: 'src/broker/handlers/produce.ts',
    find: "if (acks === -1 && partition.isUnderMinIsr) return failed(data.index, 'NOT_ENOUGH_REPLICAS')",
    replace: '',
    what: 'a record is appended, and then refused as if it had not been, while too few replicas are in sync',
    breaks: ['R13'],
    scenarios: ['RP-7'],
    catcher: {
      test: {
        file: 'test/sim/cluster.test.ts',
        name: 'R7, R13: refuses acks=all while fewer than min.insync.replicas are in sync',
      },
    },
  },
  {
    id: 'too-late-is-done',
    file: 'src/controller/decider.ts',
    find: 'cancel = this.#ports.clock.after(delayMs, () => resolve(false))',
    replace: 'cancel = this.#ports.clock.after(delayMs, () => resolve(delayMs >= 0))',
    what: 'a command whose deadline has passed while its commit was waited for is answered as if it were committed',
    breaks: ['S2', 'M11'],
    scenarios: ['ST-11'],
    catcher: {
      test: {
        file: 'test/controller/controller.test.ts',
        name: 'S2: answers by the deadline of the request even if the disk does not',
      },
    },
  },
  {
    id: 'deaf-broker-leads-on',
    file: 'src/controller/broker-sessions.ts',
    find: 'return sinceMs !== null && this.#nowMs - sinceMs >= this.#sessionMs',
    replace: 'return sinceMs !== null && this.#nowMs - sinceMs >= Infinity',
    what: 'a broker that beats and cannot write metadata keeps its leaderships, of which it may not even know',
    breaks: ['S3'],
    scenarios: ['ST-8'],
    catcher: {
      test: {
        file: 'test/sim/full-disk.test.ts',
        name: 'ST-8: lets another lead, which takes what producers send, and leads again when it has room',
      },
    },
  },
  {
    id: 'draws-from-the-process',
    file: 'src/base/backoff.ts',
    find: 'return fullMs * (0.5 + random.below(JITTER_STEPS) / (2 * JITTER_STEPS))',
    replace: 'return fullMs * (0.5 + (Math.random() * random.below(JITTER_STEPS)) / (2 * JITTER_STEPS))',
    what: 'pauses are drawn from the process’s randomness, not from the environment’s',
    breaks: ['S7'],
    scenarios: [],
    catcher: {
      test: { file: 'test/replication/swarm.test.ts', name: 'S7: do the same with the same seed' },
    },
  },
  {
    id: 'gives-up-at-a-full-controller',
    file: 'src/broker/membership.ts',
    find: '? mayStillEnd : retriable',
    replace: "? mayStillEnd : retriable && name !== 'KAFKA_STORAGE_ERROR'",
    what: 'a broker that starts while the disk of the controller is full gives up',
    breaks: ['S4'],
    scenarios: ['ST-8'],
    catcher: {
      test: {
        file: 'test/sim/full-disk.test.ts',
        name: 'ST-8 S4: a broker that begins while the controller’s disk is full does not give up',
      },
    },
  },
]
