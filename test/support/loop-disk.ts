/**
 * A disk that can lose its power (F-PWR): an ext4 file system in an image file, mounted over a loop device. What was written
 * and not synced lies in the page cache of the mount and not in the image; so a copy of the image is what a power cut leaves.
 *
 *   process ──write──> page cache of the mount ──sync──> image file ──copy──> what is left
 *
 * The kernel writes by itself after half a minute, and the journal is committed as seldom as it can be told to, so that
 * little is on the disk but what somebody has synced. Whoever writes must stand still while the image is copied.
 */
import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'

const run = promisify(execFile)

const IMAGE_BYTES = 64 * 1024 * 1024
/** Seconds between commits of the journal that nobody asked for: the most that ext4 takes seriously. */
const COMMIT_S = 300
/** A copy that differs from the image was taken while the kernel wrote: it is taken again, so often at most. */
const COPIES_MAX = 10
/** What no sync has brought to the disk. */
const UNSYNCED = 'unsynced'

export class LoopDisk {
  readonly directory: string
  #image: string
  #copies = 0

  private constructor(image: string, directory: string) {
    this.#image = image
    this.directory = directory
  }

  /** Why this machine allows no such disks; null when it does. */
  static get missing(): string | null {
    const probe = mkdtempSync(join(tmpdir(), 'loop-disk-'))
    const image = join(probe, 'image')
    const mounted = join(probe, 'mounted')
    mkdirSync(mounted)
    try {
      for (const [command, args] of commandsToMake(image, mounted)) {
        const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' })
        if (status !== 0) return `${command} does not work here: ${error?.message ?? stderr.trim()}`
      }
      spawnSync('umount', [mounted])
      return null
    } finally {
      rmSync(probe, { recursive: true, force: true })
    }
  }

  /** A new one, for one test: unmounted when that has finished. @param directory - Where it is mounted; made if need be. */
  static async forTest(image: string, directory: string): Promise<LoopDisk> {
    const disk = await LoopDisk.open(image, directory)
    onTestFinished(() => disk.close())
    return disk
  }

  /** A new one. @param bytes - Of the disk; the image takes the room of what is written. */
  static async open(image: string, directory: string, bytes = IMAGE_BYTES): Promise<LoopDisk> {
    mkdirSync(directory, { recursive: true })
    const disk = new LoopDisk(image, directory)
    for (const [command, args] of commandsToMake(image, directory, bytes)) await run(command, args)
    rmdirSync(join(directory, 'lost+found'))
    return disk
  }

  /** Unmounts it at once, whoever still uses it. */
  close(): void {
    spawnSync('umount', ['--lazy', this.directory])
  }

  /** What the disk holds now, as an image. Nobody may write meanwhile. */
  async snapshot(): Promise<string> {
    writeFileSync(join(this.directory, UNSYNCED), UNSYNCED)
    const copy = `${this.#image.replace(/\.\d+$/, '')}.${++this.#copies}`
    for (let attempt = 0; attempt < COPIES_MAX; attempt++) {
      await run('cp', ['--sparse=always', this.#image, copy])
      const isSame = await run('cmp', ['--silent', this.#image, copy]).then(
        () => true,
        () => false,
      )
      if (isSame) return copy
    }
    throw new Error(`Copying ${this.#image}: it changed during each of ${COPIES_MAX} copies`)
  }

  /**
   * The power is back: mounts what `snapshot` has found in place of what there is. Nobody may have a file open.
   *
   * @throws When something is there that nobody has synced: then this was no power cut.
   */
  async restore(snapshot: string): Promise<void> {
    await run('umount', [this.directory])
    rmSync(this.#image)
    this.#image = snapshot
    await run('mount', mountArgs(snapshot, this.directory))
    const path = join(this.directory, UNSYNCED)
    const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 }
    if (size > 0) throw new Error(`Restoring ${snapshot}: ${UNSYNCED} has ${size} bytes, wanted none`)
    rmSync(path, { force: true })
  }
}

function commandsToMake(
  image: string,
  directory: string,
  bytes = IMAGE_BYTES,
): readonly (readonly [string, readonly string[]])[] {
  return [
    ['truncate', ['--size', String(bytes), image]],
    ['mkfs.ext4', ['-q', '-F', image]],
    ['mount', mountArgs(image, directory)],
  ]
}

function mountArgs(image: string, directory: string): string[] {
  return ['-t', 'ext4', '-o', `loop,noatime,commit=${COMMIT_S}`, image, directory]
}
