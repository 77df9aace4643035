/** Mistakes in what a log knows of its producers, and in what goes of it: retention, compaction. */
import type { PlantedBug } from '../planted-bug.ts'

export const LOG_CONTENT_BUGS: readonly PlantedBug[] = [
  {
    id: 'producers-outlive-a-cut',
    file: 'src/log/log-surgery.ts',
    find: '    this.#core.producers = await this.#core.replayProducers(boundary.offset)\n',
    replace: '',
    what: 'what was known of producers is not rolled back when a log is cut',
    breaks: ['P1', 'P2'],
    scenarios: ['TX-4'],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'TX-4: drops producer state past the new end, whatever snapshots were taken of it',
      },
    },
  },
  {
    id: 'snapshots-outlive-a-cut',
    file: 'src/log/log-surgery.ts',
    find: 'this.#core.snapshots.take((candidate) => candidate > boundary.offset)',
    replace: 'this.#core.snapshots.take((candidate) => candidate > boundary.offset + 2 ** 40)',
    what: 'producer snapshots above a cut stay, and are believed when the log has grown past them again',
    breaks: ['P2'],
    scenarios: ['TX-4'],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'TX-4: drops producer state past the new end, whatever snapshots were taken of it',
      },
    },
  },
  {
    id: 'producers-forgotten-by-a-restart',
    file: 'src/log/log-replay.ts',
    find: 'const startOffset = snapshot?.offset ?? segments[0]!.baseOffset',
    replace: 'const startOffset = snapshot?.offset ?? endOffset',
    what: 'a log without a producer snapshot begins with no producers, though its batches name them',
    breaks: ['P1', 'P2'],
    scenarios: ['TX-1', 'TX-5'],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 TX-5: is what was promised after kill -9',
      },
    },
  },
  {
    id: 'followers-know-no-producers',
    file: 'src/log/log-core.ts',
    find: '    this.producers.update(header, baseOffset, nowMs)\n',
    replace: '    if (header.leaderEpoch !== leaderEpoch) this.producers.update(header, baseOffset, nowMs)\n',
    what: 'a follower takes no note of producers, so that the next leader does not know what it has of them',
    breaks: ['P1', 'P2'],
    scenarios: ['TX-1'],
    catcher: {
      test: { file: 'test/replication/swarm.test.ts', name: 'keep their promises (R1-R4' },
    },
  },
  {
    id: 'checked-in-one-turn-noted-in-the-next',
    file: 'src/log/log-core.ts',
    find: '    this.producers.update(header, baseOffset, nowMs)\n',
    replace: '    void Promise.resolve().then(() => this.producers.update(header, baseOffset, nowMs))\n',
    what: 'a batch is checked against its producer’s state before the one ahead of it is noted there',
    breaks: ['P1'],
    scenarios: ['TX-3'],
    catcher: {
      test: {
        file: 'test/broker/handlers/produce.test.ts',
        name: 'TX-3: pipelined copies of a batch are appended once',
      },
    },
  },
  {
    id: 'four-batches-remembered',
    file: 'src/log/producer-state.ts',
    find: 'export const BATCHES_KEPT = 5',
    replace: 'export const BATCHES_KEPT = 4',
    what: 'of five batches that may be in flight four are remembered',
    breaks: ['P1'],
    scenarios: ['TX-2'],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'TX-2: get the offsets of any of their last five batches again, in any order',
      },
    },
  },
  {
    id: 'sequence-gaps-taken',
    file: 'src/log/producer-state.ts',
    find: 'if (header.baseSequence === expected) return NEW',
    replace: 'if (header.baseSequence >= expected) return NEW',
    what: 'a batch is taken although the one before it is missing',
    breaks: ['P1'],
    scenarios: ['TX-2'],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'TX-2: get the offsets of any of their last five batches again, in any order',
      },
    },
  },
  {
    id: 'retry-of-the-last-batch-only',
    file: 'src/log/producer-state.ts',
    find: 'if (this.#fields[index * 4] === lastSequence && this.#fields[index * 4 + 2] === offsetDelta)',
    replace: 'if (this.#fields[index * 4] === lastSequence && index === this.count)',
    what: 'a batch that is sent again is taken for one out of order, at which clients begin a new epoch and write it twice',
    breaks: ['P1'],
    scenarios: ['TX-1', 'TX-2'],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'TX-2: get the offsets of any of their last five batches again, in any order',
      },
    },
  },
  {
    id: 'sequences-end-at-2-31',
    file: 'src/log/producer-state.ts',
    find: 'return sequence === SEQUENCE_MAX ? 0 : sequence + 1',
    replace: 'return sequence + 1',
    what: 'sequences do not go on at 0 after the last one',
    breaks: ['P1'],
    scenarios: ['ST-16'],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'ST-16: count on at 0 after sequence 2^31 - 1, also inside a batch',
      },
    },
  },
  {
    id: 'snapshot-of-the-first-segment-goes',
    file: 'src/log/log-surgery.ts',
    find: 'this.#core.snapshots.take((offset) => offset < firstOffset),',
    replace: 'this.#core.snapshots.take((offset) => offset <= firstOffset),',
    what: 'with deleted segments goes the snapshot that stands for what their batches said of producers',
    breaks: ['P1', 'P2'],
    scenarios: ['TX-5'],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 TX-5: is what was promised after kill -9',
      },
    },
  },
  {
    id: 'retention-passes-the-high-watermark',
    file: 'src/log/retention.ts',
    find: '(segments[index + 1]?.baseOffset ?? segments[index]!.endOffset) <= highWatermark',
    replace: 'segments[index]!.baseOffset <= highWatermark',
    what: 'retention deletes a segment that begins below the high watermark and ends above it',
    breaks: ['R12'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/log/partition-log.test.ts',
        name: 'R12: deletes by age and by size, whole segments, never past the high watermark',
      },
    },
  },
  {
    id: 'deletions-forgotten-at-once',
    file: 'src/log/compaction-pass.ts',
    find: 'const mayForget = isCertain && this.#opaqueCount === 0 && this.#isExpired(batch, 0)',
    replace: 'const mayForget = isCertain && this.#opaqueCount === 0',
    what: 'compaction drops a tombstone before readers had delete.retention.ms to see it',
    breaks: ['R9'],
    scenarios: ['ST-17'],
    catcher: {
      test: {
        file: 'test/log/compaction.test.ts',
        name: 'ST-17 KIP-534: keeps a tombstone for delete.retention.ms after its pass, then forgets it, and the key stays deleted',
      },
    },
  },
  {
    id: 'newest-values-compacted-away',
    file: 'src/log/compaction-pass.ts',
    find: 'return newestOffset <= offset && !(isTombstone && mayForget && newestOffset === offset)',
    replace: 'return newestOffset < offset && !(isTombstone && mayForget && newestOffset === offset)',
    what: 'compaction takes the newest record of a key for superseded by itself',
    breaks: ['R9'],
    scenarios: ['ST-17'],
    catcher: {
      test: {
        file: 'test/log/compaction.test.ts',
        name: 'ST-17: keeps the newest record of each key, at its offset, and every record of the active segment',
      },
    },
  },
]
