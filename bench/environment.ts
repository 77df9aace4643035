/** What a figure was measured on: without this block a result is not a result. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { versions } from 'node:process'

export interface Environment {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  /** File system of the directory that was written to. */
  readonly volume: string
  readonly node: string
  readonly packageVersion: string
  /** Short commit, with `+changes` when the work tree differs from it; null outside a checkout. */
  readonly commit: string | null
  /** Processes that wanted a core in the minute before the run, on average: whether the machine was at rest. */
  readonly loadAverage: number
}

/** The parts of an environment that make two machines one: what `diff` insists on. */
export const MACHINE_PARTS = ['processor', 'cores', 'memoryGiB', 'system', 'volume'] as const

/** Magic numbers of Linux's `statfs`, for the volumes that a log may lie on. */
const VOLUMES: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs (memory, not a disk)'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0x6969, 'nfs'],
])

/** @param directory - An existing one, on the volume that is measured. */
export function describeEnvironment(directory: string): Environment {
  const processors = cpus()
  const { type } = statfsSync(directory)
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    volume: VOLUMES.get(type) ?? `file system 0x${type.toString(16)}`,
    node: versions.node,
    packageVersion: readPackageVersion(),
    commit: findCommit(),
    loadAverage: loadavg()[0]!,
  }
}

/** The manifest lies two folders above the built file and one above the source. */
function readPackageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }
      return manifest.version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return 'unknown'
}

function findCommit(): string | null {
  const git = (...parts: string[]): string =>
    execFileSync('git', ['-C', import.meta.dirname, ...parts], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no').trim() !== ''
    return git('rev-parse', '--short', 'HEAD').trim() + (isChanged ? '+changes' : '')
  } catch {
    return null // installed from the registry, or there is no git: the package's version has to do
  }
}
