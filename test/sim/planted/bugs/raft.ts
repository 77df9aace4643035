/** Mistakes in the metadata quorum: votes, what is committed, who counts, snapshots. */
import type { PlantedBug } from '../planted-bug.ts'

export const RAFT_BUGS: readonly PlantedBug[] = [
  {
    id: 'vote-answered-before-it-is-durable',
    file: 'src/raft/raft-quorum.ts',
    find: `        if (ready.persist === null) for (const effect of ready.effects) this.#effects.carryOut(effect)
        else this.#persisting = this.#persist(ready.persist, ready.effects)`,
    replace: `        for (const effect of ready.effects) this.#effects.carryOut(effect)
        if (ready.persist !== null) this.#persisting = this.#persist(ready.persist, [])`,
    what: 'a vote is answered while it is being written',
    breaks: ['M1', 'M2'],
    scenarios: ['MQ-1'],
    catcher: {
      test: {
        file: 'test/raft/raft-quorum.test.ts',
        name: 'M1, M2, M3, M4, M5, M6, M11 hold after every event',
      },
    },
  },
  {
    id: 'vote-not-saved',
    file: 'src/raft/core-state.ts',
    find: '    this.voted = voter\n    this.#persist = true',
    replace: '    this.voted = voter',
    what: 'a vote in an epoch that was known before is not written',
    breaks: ['M2', 'M1'],
    scenarios: ['MQ-1'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-1: a vote in an epoch that was known before is durable before the answer, too',
      },
    },
  },
  {
    id: 'votes-by-log-length',
    file: 'src/raft/raft-core.ts',
    find: 'return lastEpoch > log.lastEpoch || (lastEpoch === log.lastEpoch && logEndOffset >= log.endOffset)',
    replace: 'return logEndOffset >= log.endOffset',
    what: 'the longer log gets the vote, whatever its last epoch is',
    breaks: ['M4'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'M1, M4: of any two logs in a small scope, at most the one that may have all that is committed gets the vote',
      },
    },
  },
  {
    id: 'old-epochs-commit-by-counting',
    file: 'src/raft/leader.ts',
    find: 'if (this.#epochStartOffset === null || offset <= this.#epochStartOffset) return',
    replace: 'if (this.#epochStartOffset === null) return',
    what: 'a record of an earlier epoch counts as committed once a majority has it (figure 8 of the Raft paper)',
    breaks: ['M5'],
    scenarios: ['MQ-3'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-3, M5: Raft figure 8: an old record that reached a majority is not committed before one of this epoch is',
      },
    },
  },
  {
    id: 'leader-counts-what-it-has-not-synced',
    file: 'src/raft/leader.ts',
    find: `    const offset = this.tracker.majorityEndOffset(voters.latest, self, log.durableEndOffset)
    if (this.#epochStartOffset === null || offset <= this.#epochStartOffset) return
    state.raiseHighWatermark(Math.min(offset, log.durableEndOffset))`,
    replace: `    const offset = this.tracker.majorityEndOffset(voters.latest, self, log.endOffset)
    if (this.#epochStartOffset === null || offset <= this.#epochStartOffset) return
    state.raiseHighWatermark(offset)`,
    what: 'the leader of the quorum counts itself for what its disk has not got yet',
    breaks: ['M5', 'M11'],
    scenarios: ['MQ-2'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-2, M5: a record on a majority of followers but not on the leader counts; the leader counts after its own sync',
      },
    },
  },
  {
    id: 'follower-acknowledges-before-its-disk',
    file: 'src/raft/follower.ts',
    find: 'if (log.durableEndOffset < log.endOffset || state.nowMs < this.#pauseEndMs) return',
    replace: 'if (state.nowMs < this.#pauseEndMs) return',
    what: 'a follower of the quorum fetches on, which acknowledges, before its disk has what it appended',
    breaks: ['M4', 'M5', 'M11'],
    scenarios: ['MQ-2'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-2: a follower does not fetch, which would acknowledge, before its disk has what it appended',
      },
    },
  },
  {
    id: 'isolated-leader-stays',
    file: 'src/raft/leader.ts',
    find: 'if (state.nowMs >= this.#resignMs()) {',
    replace: 'if (state.nowMs >= this.#resignMs() + 1e9) {',
    what: 'a leader that no majority fetches from goes on leading',
    breaks: ['S3', 'M1'],
    scenarios: ['MQ-4'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-4: a leader that no majority fetches from resigns in bounded time, and says so',
      },
    },
  },
  {
    id: 'pre-vote-for-anybody',
    file: 'src/raft/raft-core.ts',
    find: "return kind !== 'leader' && (kind !== 'follower' || fromId === this.state.leaderId)",
    replace: "return kind !== 'leader' || fromId >= 0",
    what: 'a voter that hears its leader says yes to whoever asks whether it should stand',
    breaks: ['S6'],
    scenarios: ['MQ-5'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-5, S6: a voter that hears nobody raises no epoch, and the others go on in theirs when it comes back',
      },
    },
  },
  {
    id: 'half-is-a-majority',
    file: 'src/raft/voter-set.ts',
    find: 'return Math.floor(this.voters.length / 2) + 1',
    replace: 'return Math.ceil(this.voters.length / 2)',
    what: 'half of an even number of voters counts as a majority',
    breaks: ['M1', 'M4', 'M3', 'M6', 'S4'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/raft/raft-quorum.test.ts',
        name: 'M1, M2, M3, M4, M5, M6, M11 hold after every event',
      },
    },
  },
  {
    id: 'lost-disk-votes-on',
    file: 'src/raft/voter-set.ts',
    find: 'return voter !== null && (voter.directoryId === directoryId || voter.directoryId === ZERO_UUID)',
    replace: 'return voter !== null',
    what: 'a voter counts by its id, also when it came back on an empty disk',
    breaks: ['M10', 'M4'],
    scenarios: ['MQ-6'],
    catcher: {
      test: { file: 'test/raft/transcripts.test.ts', name: 'happens as it is written' },
    },
  },
  {
    id: 'two-changes-of-voters-at-once',
    file: 'src/raft/leader.ts',
    find: "if (this.#isChangingVoters || latestOffset >= state.highWatermark) return 'change-pending'",
    replace: "if (this.#isChangingVoters) return 'change-pending'",
    what: 'voters are changed although the last change is not committed',
    breaks: ['M8'],
    scenarios: ['MQ-7'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-7, M8: voters change one at a time, not before this epoch has committed, and not while one is pending',
      },
    },
  },
  {
    id: 'voters-outlive-a-cut',
    file: 'src/raft/raft-core.ts',
    find: `        state.isCutting = false
        state.voters.truncateTo(state.log.endOffset)`,
    replace: '        state.isCutting = false',
    what: 'voters of a record that was cut off go on counting',
    breaks: ['M8'],
    scenarios: ['MQ-7'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-7, M8: an uncommitted change of voters goes with its record when the log is cut',
      },
    },
  },
  {
    id: 'log-dropped-up-to-the-newest-snapshot',
    file: 'src/raft/snapshot-taker.ts',
    find: 'await this.#log.deleteRecordsBefore(older.endOffset)',
    replace: 'await this.#log.deleteRecordsBefore(newest.endOffset)',
    what: 'the log is deleted up to the newest snapshot, so that nothing is left if that one rots',
    breaks: ['M6', 'D3'],
    scenarios: ['ST-5', 'MQ-8'],
    catcher: {
      test: {
        file: 'test/raft/raft-quorum-alone.test.ts',
        name: 'ST-5: starts from the older snapshot when the newest is damaged, and refuses when both are',
      },
    },
  },
  {
    id: 'snapshot-forgets-the-eligible',
    file: 'src/metadata/snapshot.ts',
    find: 'eligibleLeaderReplicas: orNull(partition.eligibleLeaderReplicas),',
    replace: 'eligibleLeaderReplicas: null,',
    what: 'a snapshot of the metadata leaves out who is eligible to lead',
    breaks: ['M6'],
    scenarios: ['MQ-9'],
    catcher: {
      test: {
        file: 'test/metadata/cluster-image.test.ts',
        name: 'an image from a snapshot and the rest equals the one from replay, at any offset',
      },
    },
  },
  {
    id: 'fetches-for-an-older-disk-dropped',
    file: 'src/raft/raft-core.ts',
    find: "    if (kind === 'FetchRequest' || kind === 'FetchSnapshotRequest') return true\n",
    replace: '',
    what: 'a leader does not answer who knows of a disk only that it had before, and so never learns of the present one',
    breaks: ['S3'],
    scenarios: ['MQ-6'],
    catcher: {
      test: {
        file: 'test/raft/raft-core.test.ts',
        name: 'MQ-6, S3: a leader answers who fetches and knows of an older disk of it only, and so learns of the new one',
      },
    },
  },
  {
    id: 'epoch-beyond-quorum-state',
    file: 'src/raft/metadata-log.ts',
    find: 'if (state !== null && log.latestEpoch > state.leaderEpoch) {',
    replace: 'if (state !== null && log.latestEpoch < -1) {',
    what: 'a start believes an epoch in the metadata log that the node has never reached',
    breaks: ['M4', 'M11'],
    scenarios: ['ST-3'],
    catcher: {
      test: {
        file: 'test/raft/raft-quorum-alone.test.ts',
        name: 'ST-3, M5: refuses a log whose last epoch is later than any that quorum-state knows',
      },
    },
  },
]
