/** Mistakes in replication: who has what, who counts, what is committed, where logs part. */
import type { PlantedBug } from '../planted-bug.ts'

export const REPLICATION_BUGS: readonly PlantedBug[] = [
  {
    id: 'acks-all-by-the-leader-alone',
    file: 'src/replication/partition.ts',
    find: 'const queue = acks === 1 ? this.#waiters.durable : this.#waiters.commit',
    replace: 'const queue = this.#waiters.durable',
    what: 'acks=all is answered when the leader has the record on its disk',
    breaks: ['R1', 'R2', 'R13'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'R7: do not commit what a follower has and could still lose',
      },
    },
  },
  {
    id: 'acknowledged-one-too-early',
    file: 'src/broker/handlers/produce.ts',
    find: 'endOffset: result.lastOffset + 1,',
    replace: 'endOffset: result.lastOffset,',
    what: 'an acknowledgement waits for the offset of the last record to be the high watermark, not to be below it',
    breaks: ['R1', 'R2', 'R13'],
    scenarios: [],
    catcher: {
      test: null,
    },
  },
  {
    id: 'high-watermark-by-log-ends',
    file: 'src/replication/follower-state.ts',
    find: 'durableOffset: this.#log.durableEndOffset,',
    replace: 'durableOffset: this.#log.logEndOffset,',
    what: 'a follower tells the end of its log for the end of what is durable there',
    breaks: ['R2', 'R13', 'D1'],
    scenarios: ['RP-13'],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'R7: do not commit what a follower has and could still lose',
      },
    },
  },
  {
    id: 'leader-cuts-at-its-high-watermark',
    file: 'src/replication/partition.ts',
    find: `      this.#enter(state)
      return undefined
    }`,
    replace: `      this.#enter(state)
      if (this.isFollower) return this.#operate(() => this.log.truncateTo(this.#highWatermark))
      return undefined
    }`,
    what: 'who begins to follow cuts its log at its own high watermark, since what lies above is not committed',
    breaks: ['R1', 'R2', 'R11'],
    scenarios: ['RP-1'],
    catcher: {
      test: null,
    },
  },
  {
    id: 'cut-by-the-leader-alone',
    file: 'src/replication/follower-state.ts',
    find: 'Math.min(ownEndOffset, leaderEnd.endOffset, log.logEndOffset)',
    replace: 'Math.min(leaderEnd.endOffset, log.logEndOffset)',
    what: 'a follower cuts where the leader’s epoch ends, though its own ended earlier',
    breaks: ['R4', 'R11', 'R16'],
    scenarios: ['RP-2'],
    catcher: {
      test: {
        file: 'test/replication/follower-state.test.ts',
        name: 'RP-2 R4: leaves the common beginning of any two logs, and no more',
      },
    },
  },
  {
    id: 'newer-epoch-of-a-follower-ignored',
    file: 'src/replication/leader-state.ts',
    find: 'return end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset ? end : null',
    replace: 'return end.endOffset < fetchOffset ? end : null',
    what: 'a leader looks only at offsets to find out whether the follower’s log has left its own',
    breaks: ['R4', 'R6', 'R16'],
    scenarios: ['RP-2', 'MQ-13'],
    catcher: {
      test: {
        file: 'test/replication/divergence.test.ts',
        name: 'RP-2 R4: of two old tails at the same offsets the leader’s stays',
      },
    },
  },
  {
    id: 'leader-epoch-unchecked',
    file: 'src/replication/partition.ts',
    find: `    if (position.leaderEpoch !== this.#leaderEpoch) {
      const isOld`,
    replace: `    if (position.leaderEpoch === -1) {
      const isOld`,
    what: 'a leader that has not heard of its successor serves and counts followers of that one',
    breaks: ['R7', 'R1'],
    scenarios: ['RP-3', 'MQ-13'],
    catcher: {
      test: {
        file: 'test/replication/divergence.test.ts',
        name: 'MQ-13: leaderships that went away and came back in one image are epochs all the same',
      },
    },
  },
  {
    id: 'in-sync-at-the-high-watermark',
    file: 'src/replication/leader-state.ts',
    find: `    if (durableEndOffset < Math.max(this.#host.highWatermark(), this.epochStartOffset)) return false
    if (position.isLagging(this.#log.logEndOffset, nowMs, this.#options.replicaLagMsMax)) return false
`,
    replace: `    if (durableEndOffset < this.#host.highWatermark()) return false
`,
    what: 'a follower joins at the high watermark, which a new leader may know late, though it lacks what its predecessor committed',
    breaks: ['R14', 'R2'],
    scenarios: ['RP-5'],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'R14 RP-5: a follower below the start of the epoch does not join, however low the high watermark is',
      },
    },
  },
  {
    id: 'committed-in-sync-set-counts',
    file: 'src/replication/leader-state.ts',
    find: `      this.#isr.maximal,
      this.#options.nodeId,`,
    replace: `      this.#isr.committed,
      this.#options.nodeId,`,
    what: 'the high watermark does not wait for those whom the leader has proposed, and the controller may have taken in',
    breaks: ['R3', 'R2', 'R7'],
    scenarios: ['RP-6'],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'RP-6: counts a follower as soon as it proposes to take it in',
      },
    },
  },
  {
    id: 'shrinks-before-the-controller-agrees',
    file: 'src/replication/isr-state.ts',
    find: 'this.#maximal = union(union(this.#committed, this.#doubtful), proposed)',
    replace: 'this.#maximal = proposed.length > 0 ? proposed : union(this.#committed, this.#doubtful)',
    what: 'the leader goes by the smaller in-sync set as soon as it has proposed it',
    breaks: ['R3', 'R2', 'R7'],
    scenarios: ['RP-6'],
    catcher: {
      test: {
        file: 'test/replication/isr-state.test.ts',
        name: 'RP-6: goes on counting a member that it proposes to drop',
      },
    },
  },
  {
    id: 'repetition-refused-proposal-dead',
    file: 'src/replication/isr-state.ts',
    find: 'if (this.#isDoubtful) this.#doubtful = union(this.#doubtful, idsOf(proposal))',
    replace: '',
    what: 'a proposal is given up when its repetition is refused, though the first copy may still be on its way',
    breaks: ['R3'],
    scenarios: ['RP-6'],
    catcher: {
      test: {
        file: 'test/replication/isr-state.test.ts',
        name: 'R3: repeats what had no answer, and counts it on when only the repetition was refused',
      },
    },
  },
  {
    id: 'commits-below-min-isr',
    file: 'src/replication/leader-state.ts',
    find: 'if (this.isUnderMinIsr(minInsyncReplicas)) return NO_POSITION',
    replace: '',
    what: 'the high watermark moves although fewer than min.insync.replicas are in sync',
    breaks: ['R7', 'R13'],
    scenarios: ['RP-7'],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'RP-7: tells that there are not enough replicas, before an append and after it',
      },
    },
  },
  {
    id: 'consumers-read-to-the-log-end',
    file: 'src/replication/partition.ts',
    find: 'return readPastEmpty(this.log, offset, this.#highWatermark, bytesMax, atLeastOneBatch)',
    replace: 'return readPastEmpty(this.log, offset, this.log.logEndOffset, bytesMax, atLeastOneBatch)',
    what: 'consumers are given what is not committed',
    breaks: ['R8', 'R9'],
    scenarios: [],
    catcher: {
      test: null,
    },
  },
  {
    id: 'follower-vouches-for-what-it-lacks',
    file: 'src/replication/follower-state.ts',
    find: 'return Math.min(this.#leaderHighWatermark, this.#log.durableEndOffset)',
    replace: 'return this.#leaderHighWatermark',
    what: 'a follower’s high watermark is the leader’s, also where its own log is shorter',
    breaks: ['R12', 'R7', 'D6'],
    scenarios: ['RP-22'],
    catcher: {
      test: { file: 'test/replication/swarm.test.ts', name: 'keep their promises (R1-R4' },
    },
  },
  {
    id: 'log-start-passes-the-high-watermark',
    file: 'src/replication/follower-state.ts',
    find: 'const offset = Math.min(this.#leaderLogStartOffset, highWatermark)',
    replace: 'const offset = this.#leaderLogStartOffset',
    what: 'a follower deletes up to the leader’s log start before it knows that all of it is committed',
    breaks: ['R12'],
    scenarios: ['RP-17'],
    catcher: {
      test: { file: 'test/replication/swarm.test.ts', name: 'keep their promises (R1-R4' },
    },
  },
  {
    id: 'new-leader-tells-an-end-at-once',
    file: 'src/replication/partition.ts',
    find: 'this.#highWatermark < this.#role.state.epochStartOffset',
    replace: 'this.#highWatermark < this.log.logStartOffset',
    what: 'a new leader tells its high watermark before it has committed up to the start of its epoch',
    breaks: ['R7'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'KIP-207: a new leader does not tell an end that may go back',
      },
    },
  },
  {
    id: 'high-watermark-above-a-log-that-begins-anew',
    file: 'src/replication/partition.ts',
    find: '    log.onCut = () => this.#wasCut()\n',
    replace: '',
    what: 'a follower that begins anew in the middle of a batch keeps its high watermark, above the end of its log',
    breaks: ['R12'],
    scenarios: ['RP-17'],
    catcher: {
      test: {
        file: 'test/replication/replication.test.ts',
        name: 'RP-17 R12: a follower behind the log start of its leader begins anew there, in the middle of a batch, too',
      },
    },
  },
  {
    id: 'saved-high-watermark-above-the-cut',
    file: 'src/log/log-manager.ts',
    find: '          await this.#save(HIGH_WATERMARK_CHECKPOINT)\n',
    replace: '',
    what: 'the high watermark on disk is not lowered before the log is cut below it, and grows anew',
    breaks: ['D6', 'R7'],
    scenarios: ['RP-22'],
    catcher: {
      test: {
        file: 'test/log/log-manager.test.ts',
        name: 'D6 RP-22: a cut below the high watermark lowers it on disk, too, before the log grows anew',
      },
    },
  },
  {
    id: 'fetches-after-its-end',
    file: 'src/replication/replica-fetchers.ts',
    find: 'if (this.#isClosed) return',
    replace: '',
    what: 'metadata that comes into effect while a broker stops makes it fetch, for ever, what it has closed',
    breaks: ['S1'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/sim/clean-stops.test.ts',
        name: 'S1: a broker that is closed while it puts metadata into effect holds nothing, when its disk goes on',
      },
    },
  },
  {
    id: 'asks-again-in-five-seconds',
    file: 'src/broker/partition-upkeep.ts',
    find: 'const PAUSE = { initialMs: 100,',
    replace: 'const PAUSE = { initialMs: LOOK_MS,',
    what: 'a leader that was refused a new epoch asks again only when it looks at everything, and takes no records until then',
    breaks: ['S3'],
    scenarios: ['ST-8'],
    catcher: {
      test: {
        file: 'test/sim/full-disk.test.ts',
        name: 'ST-8 S3: takes records again soon after there is room, also if the controller had none to write down its new epoch',
      },
    },
  },
  {
    id: 'strays-go-beside-changes',
    file: 'src/broker/broker.ts',
    find: 'await this.#follower.between((image) => this.#partitions.setStraysAside(image))',
    replace: 'await this.#partitions.setStraysAside(this.#follower.image)',
    what: 'strays are set aside by an image that is not the newest any more',
    breaks: ['R2', 'D1'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/sim/strays.test.ts',
        name: 'R2: a replica that comes back while strays are set aside has a log of its own',
      },
    },
  },
]
