/** Mistakes in the log: what is durable, what recovery believes, what is cut. */
import type { PlantedBug } from '../planted-bug.ts'

export const LOG_BUGS: readonly PlantedBug[] = [
  {
    id: 'durable-when-written',
    file: 'src/log/log-core.ts',
    find: "if (this.config.durability !== 'disk') this.raiseDurable(endOffset)",
    replace: 'this.raiseDurable(endOffset)',
    what: 'records count as durable when the operating system has them',
    breaks: ['M5', 'D1', 'R2', 'R13'],
    scenarios: ['RP-13'],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 ST-6: is what was promised after a power cut that loses all that was not synced',
      },
    },
  },
  {
    id: 'sync-vouches-for-later-writes',
    file: 'src/log/log-writer.ts',
    find: 'this.#syncedEndOffset = this.#syncTargetOffset\n',
    replace: 'this.#syncedEndOffset = this.#writtenEndOffset\n',
    what: 'a sync counts for what was written while it was under way',
    breaks: ['D1', 'R2', 'D8'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 ST-6: is what was promised after a power cut that loses all that was not synced',
      },
    },
  },
  {
    id: 'index-that-ends-at-the-recovery-point',
    file: 'src/log/log-recovery.ts',
    find: 'segmentIndexOf(segments, recoveryPoint - 1)',
    replace: 'segmentIndexOf(segments, recoveryPoint)',
    what: 'a start does not look at a segment that ends at the recovery point, whose indexes nobody has synced',
    breaks: ['D5'],
    scenarios: ['ST-4'],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D5: has whole indexes, also of a segment that ended at the recovery point when the power was cut',
      },
    },
  },
  {
    id: 'cut-without-room-is-final',
    file: 'src/log/log-surgery.ts',
    find: '      }, !isLast)\n',
    replace: '      }, false)\n',
    what: 'a follower that has to cut its log on a full disk gives it up until the next start',
    breaks: ['S3'],
    scenarios: ['ST-8'],
    catcher: {
      test: { file: 'test/log/disk-faults.test.ts', name: 'ST-8: a cut waits for room, and takes it up' },
    },
  },
  {
    id: 'clean-mark-of-what-is-gone',
    file: 'src/log/log-manager.ts',
    find: '    this.#home.noteLostLogs(keys, recoveryPoints)\n',
    replace: '',
    what: 'a broker whose log somebody has removed counts as one that stopped cleanly, and may be elected without it',
    breaks: ['R2'],
    scenarios: ['RP-12'],
    catcher: {
      test: {
        file: 'test/log/log-manager.test.ts',
        name: 'RP-12: was not closed cleanly, as far as the cluster is concerned, if a log is missing that was there then',
      },
    },
  },
  {
    id: 'rotten-identity-is-believed',
    file: 'src/log/meta-properties.ts',
    find: '  if (directoryId !== null && !isUuidText(directoryId)) return null\n',
    replace: '',
    what: 'a data directory whose id has rotted is taken, and no other node can be told of it',
    breaks: ['M10'],
    scenarios: ['ST-14'],
    catcher: {
      test: {
        file: 'test/log/log-manager.test.ts',
        name: 'M10: is nobody’s if what says whose it is cannot be believed',
      },
    },
  },
  {
    id: 'directory-of-a-segment-unsynced',
    file: 'src/log/log-writer.ts',
    find: 'if (isDirectoryDirty) await this.#files.syncDirectory(this.#directory)\n    this.#syncedTotal = total',
    replace: 'this.#syncedTotal = total',
    what: 'a new segment is synced, and the directory that names it is not',
    breaks: ['D1', 'R2'],
    scenarios: ['ST-6'],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 ST-6: is what was promised after a power cut that loses all that was not synced',
      },
    },
  },
  {
    id: 'rename-without-directory-sync',
    file: 'src/log/atomic-file.ts',
    find: '  await files.rename(temporaryPath, path)\n  await files.syncDirectory(directory)',
    replace: '  await files.rename(temporaryPath, path)',
    what: 'a checkpoint, a vote or a snapshot is renamed into place, and the directory is not synced',
    breaks: ['M2', 'D6', 'M10', 'R2'],
    scenarios: ['ST-6', 'MQ-1'],
    catcher: {
      test: {
        file: 'test/raft/raft-quorum.test.ts',
        name: 'M1, M2, M3, M4, M5, M6, M11 hold after every event',
      },
    },
  },
  {
    id: 'failed-sync-tried-again',
    file: 'src/log/log-writer.ts',
    find: `        this.#wantsSync = false
        await this.#syncOnce()
      }`,
    replace: `        this.#wantsSync = false
        await this.#syncOnce().catch(() => this.#syncOnce())
      }`,
    what: 'a sync that failed is tried again, on pages that the system has marked clean',
    breaks: ['D4'],
    scenarios: ['ST-7'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'ST-7 D4: ends appends for good, and nothing is acknowledged after it',
      },
    },
  },
  {
    id: 'cut-beside-a-sync',
    file: 'src/log/log-writer.ts',
    find: `    while (this.#writing !== null || this.#syncing !== null) await Promise.all([this.#writing, this.#syncing])
  }

  /** A file was created or removed in the directory: the next sync covers that. */
  directoryChanged(): void {
    this.#isDirectoryDirty = true
  }

  /** Stops writing and forgets what is queued; a write under way goes on. */
  stop(): void {
    if (this.#state === 'open') this.#state = 'stopped'
    while (this.#queue.shift() !== undefined);
  }

  /** The log ends at \`endOffset\` now: what was written or synced above it does not count any more. */
  cut(endOffset: number, keeps: (segment: Segment) => boolean): void {
    this.#writtenEndOffset = Math.min(this.#writtenEndOffset, endOffset)
    this.#syncedEndOffset = Math.min(this.#syncedEndOffset, endOffset)
    this.#syncTargetOffset = Math.min(this.#syncTargetOffset, endOffset)
`,
    replace: `    while (this.#writing !== null) await this.#writing
  }

  directoryChanged(): void {
    this.#isDirectoryDirty = true
  }

  stop(): void {
    if (this.#state === 'open') this.#state = 'stopped'
    while (this.#queue.shift() !== undefined);
  }

  cut(endOffset: number, keeps: (segment: Segment) => boolean): void {
    this.#writtenEndOffset = Math.min(this.#writtenEndOffset, endOffset)
    this.#syncedEndOffset = Math.min(this.#syncedEndOffset, endOffset)
`,
    what: 'a truncation does not wait for the sync under way, which then vouches for other bytes',
    breaks: ['D8'],
    scenarios: ['RP-18'],
    catcher: {
      test: { file: 'test/log/late-sync.test.ts', name: 'RP-18 D8' },
    },
  },
  {
    id: 'cut-unsynced',
    file: 'src/log/log-surgery.ts',
    find: `    await segment.appendFile.truncate(segment.writtenBytes)
    await segment.appendFile.sync()
    segment.mayBeTorn = false`,
    replace: `    await segment.appendFile.truncate(segment.writtenBytes)
    segment.mayBeTorn = false`,
    what: 'new bytes are appended before the cut of the old ones is on the disk',
    breaks: ['D2', 'R13'],
    scenarios: ['ST-8'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'R13: a power cut right after the report does not bring failed batches back',
      },
    },
  },
  {
    id: 'recovery-point-above-the-cut',
    file: 'src/log/log-surgery.ts',
    find: '    if (this.#mustSaveRecoveryPoint) await this.#core.checkpoints.saveRecoveryPoint()\n',
    replace: '',
    what: 'the recovery point on disk is not lowered before the log is cut below it',
    breaks: ['D6'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 TX-5: is what was promised after kill -9',
      },
    },
  },
  {
    id: 'clean-mark-stays',
    file: 'src/log/log-directory.ts',
    find: '      await files.remove(`${path}/${CLEAN_SHUTDOWN}`)\n',
    replace: '',
    what: 'the mark of a clean stop is still there while the broker runs, and after it crashed',
    breaks: ['D2', 'R2'],
    scenarios: ['ST-13'],
    catcher: {
      test: {
        file: 'test/log/log-manager.test.ts',
        name: 'ST-13: says that it was closed cleanly only right after a clean close',
      },
    },
  },
  {
    id: 'recovery-without-checksums',
    file: 'src/log/log-recovery.ts',
    find: 'const scan = await segment.scan(position, true, (bytes, at, where) =>',
    replace: 'const scan = await segment.scan(position, false, (bytes, at, where) =>',
    what: 'recovery goes by the sizes in headers, and does not check the bytes behind them',
    breaks: ['D2'],
    scenarios: ['ST-1', 'ST-3'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'ST-1: a tail torn at any byte of the last three batches leaves the whole batches before it',
      },
    },
  },
  {
    id: 'recovery-cuts-flushed-records',
    file: 'src/log/log-recovery.ts',
    find: 'if (end.offset < recoveryPoint) {',
    replace: 'if (end.offset < logStartOffset) {',
    what: 'recovery takes damage below the recovery point for a torn end, and cuts it off',
    breaks: ['D3'],
    scenarios: ['ST-2', 'ST-3'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'D3: below the recovery point a lost or broken batch is refused, and no file is changed',
      },
    },
  },
  {
    id: 'epoch-of-a-batch-unchecked',
    file: 'src/log/log-recovery.ts',
    find: 'if (saved !== epoch && !isForgotten(this.#saved, saved)) {',
    replace: 'if (saved > epoch && !isForgotten(this.#saved, saved)) {',
    what: 'recovery believes a leader epoch, which no checksum covers, that no leader has begun',
    breaks: ['D2', 'R5'],
    scenarios: ['ST-3'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'ST-3 D2: a bit flipped in any byte of the last two batches is cut off with all after it',
      },
    },
  },
  {
    id: 'leftovers-stay',
    file: 'src/log/log-recovery.ts',
    find: 'await removeLogFiles(ports, [], untrusted, found.leftovers)',
    replace: 'await removeLogFiles(ports, [], untrusted)',
    what: 'temporary files of a crash stay in the directory',
    breaks: ['D7'],
    scenarios: ['ST-12'],
    catcher: {
      test: {
        file: 'test/log/crash-points.test.ts',
        name: 'D1 D2 D6 D7 P2 TX-5: is what was promised after kill -9',
      },
    },
  },
  {
    id: 'index-believed',
    file: 'src/log/segment.ts',
    find: `      if (await this.#isBatchAt(entry.position, entry.relativeOffset)) return entry.position
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
    }
    await this.#rebuild()
    const entry`,
    replace: `      return entry.position
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
    }
    await this.#rebuild()
    const entry`,
    what: 'a read goes where the index says, without a look at whether that batch begins there',
    breaks: ['D5'],
    scenarios: ['ST-4'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'D5 ST-4: an index entry that rots between sound ones is found out when it is used',
      },
    },
  },
  {
    id: 'epochs-without-records-forgotten',
    file: 'src/log/log-recovery.ts',
    find: 'epochs.truncateFromEnd(logEndOffset, true)',
    replace: 'epochs.truncateFromEnd(logEndOffset, false)',
    what: 'a leader epoch in which nothing was written is forgotten by a restart',
    breaks: ['R5', 'D5'],
    scenarios: ['RP-16'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'RP-16: an epoch in which nothing was written is still known after a restart',
      },
    },
  },
  {
    id: 'undone-batches-in-the-same-epoch',
    file: 'src/log/log-surgery.ts',
    find: 'if (this.#core.exposedEndOffset > fromOffset) this.#core.fencedEpoch = this.#core.epochs.cache.latestEpoch',
    replace: '',
    what: 'after a full disk a leader writes other batches at the same offsets in the same leader epoch',
    breaks: ['R4', 'R6', 'R16'],
    scenarios: ['ST-8'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'R4: fences the epoch if a reader was given what is undone, and only then',
      },
    },
  },
  {
    id: 'batches-that-leave-a-gap',
    file: 'src/log/fetched-check.ts',
    find: 'if (baseOffset !== expected) {',
    replace: 'if (baseOffset < expected) {',
    what: 'a follower appends what does not continue its log',
    breaks: ['R10'],
    scenarios: ['RP-19'],
    catcher: {
      test: {
        file: 'test/log/density.test.ts',
        name: 'R10: a batch that leaves a gap, or repeats an offset, is taken from no leader',
      },
    },
  },
  {
    id: 'cut-forgets-the-file',
    file: 'src/log/segment.ts',
    find: 'this.mayBeTorn ||= this.writtenBytes > position',
    replace: 'this.mayBeTorn ||= this.writtenBytes < position',
    what: 'a segment that is cut in memory does not say that its file is longer: what is appended comes behind what was cut',
    breaks: ['D2'],
    scenarios: ['ST-8', 'ST-9'],
    catcher: {
      test: {
        file: 'test/log/cut-again.test.ts',
        name: 'at any two steps is done again, and leaves nothing of what it cut',
      },
    },
  },
  {
    id: 'begun-anew-in-vain',
    file: 'src/log/log-surgery.ts',
    find: 'return this.#tried(isLast, () => this.#restartAt(offset))',
    replace: 'return this.#tried(true || isLast, () => this.#restartAt(offset))',
    what: 'a follower that has to begin its log anew fails for good when it finds no room or no handle for that',
    breaks: ['S3'],
    scenarios: ['ST-8', 'ST-9'],
    catcher: {
      test: {
        file: 'test/log/cut-again.test.ts',
        name: 'at any two steps is done again, and leaves nothing of what it cut',
      },
    },
  },
  {
    id: 'clean-stop-with-a-cut-due',
    file: 'src/log/partition-log.ts',
    find: "if (state.kind === 'cutting' || recoveryPoint !== logEndOffset) {",
    replace: 'if (recoveryPoint !== logEndOffset) {',
    what: 'a stop while a cut waits for room leaves the clean mark, and the files still hold what was to be cut',
    breaks: ['D2'],
    scenarios: ['ST-8'],
    catcher: {
      test: { file: 'test/log/cut-again.test.ts', name: 'ST-8 D2: a stop is no clean one while a cut' },
    },
  },
  {
    id: 'falling-epochs-believed',
    file: 'src/log/log-replay.ts',
    find: 'if (epoch < last)',
    replace: 'if (epoch < last - 0x7fff_ffff)',
    what: 'leader epochs that are read from batches may fall along a log',
    breaks: ['D3'],
    scenarios: ['ST-3'],
    catcher: {
      test: {
        file: 'test/log/disk-faults.test.ts',
        name: 'ST-3 D3: an epoch that a flipped bit has raised is found by the batch behind it',
      },
    },
  },
]
